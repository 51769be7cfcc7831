// Turning codes and ids into the image of a segment.
#pragma once

#include <cstdint>
#include <string>

#include "codes.hpp"
#include "storage/build_progress.hpp"
#include "storage/image.hpp"
#include "storage/layout.hpp"

namespace hashnet {

/// Rows that one segment can hold: positions are 32 bits, and the last value means "none".
inline constexpr std::uint64_t kMaxSegmentRows = 0xFFFFFFFEULL;

/// The ids of rows: `ids[row]`, or, where there are none, `first` + row.
struct RowIds {
    const std::int64_t* ids = nullptr;
    std::int64_t first = 0;

    std::int64_t at(std::size_t row) const {
        return ids != nullptr ? ids[row] : first + static_cast<std::int64_t>(row);
    }
};

struct BuildOptions {
    /// Empty: the image is owned memory. Otherwise a new file, durable when the build returns.
    std::string path;
    unsigned threads = 1;
    /// Bytes of working memory beside codes, ids and image; 0 stands for 4 GiB. A few MiB are always taken.
    std::uint64_t memory = 0;
    LayoutOptions layout;
    /// Whether dimensions may be assigned to substrings from a sample of the codes.
    bool select_bits = true;
    ProgressCallback progress;
};

/// Builds the segment of `codes` (at least one, at most kMaxSegmentRows) with ids >= 0.
///
/// Codes are read from beginning to end several times, so they may be a mapped file larger than memory.
/// The bytes depend on the set of (code, id) pairs, on `layout` and on `select_bits` only. Working memory
/// stays within the bound in residue form; above 64 bits the rows that share their first 64 bits are held
/// at the same time, however many they are. Throws std::bad_alloc, std::system_error,
/// std::invalid_argument, or what `progress` throws, and leaves no file behind then.
Image build_segment(CodesView codes, RowIds ids, const BuildOptions& options);

}  // namespace hashnet
