// Turning codes and ids into the image of a segment.
#pragma once

#include <cstdint>
#include <string>

#include "codes.hpp"
#include "storage/image.hpp"

namespace hashnet {

/// Rows that one segment can hold: positions are 32 bits, and the last value means "none".
inline constexpr std::uint64_t kMaxSegmentRows = 0xFFFFFFFEULL;

/// Builds the segment of `codes` (at least one, at most kMaxSegmentRows) with `ids[i]` >= 0 for row i.
///
/// The image is owned memory, or, where `path` is not empty, a new file that is durable on return.
/// The bytes depend on the set of (code, id) pairs only, not on their order or on `threads`.
/// Needs about 32 bytes of working memory a row beside the image. Throws std::bad_alloc or
/// std::system_error, and leaves no file behind then.
Image build_segment(CodesView codes, const std::int64_t* ids, const std::string& path, unsigned threads);

}  // namespace hashnet
