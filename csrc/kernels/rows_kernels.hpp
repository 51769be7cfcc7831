// The row filter for each instruction set.
#pragma once

#include "kernels/rows.hpp"

namespace hashnet {

/// Works on any machine; wide kernels end in it for the rows that do not fill a group.
std::size_t filter_rows_scalar(const std::uint64_t* rows, std::size_t n, unsigned n_words,
                               const std::uint64_t* query, unsigned bound, std::uint32_t first,
                               Survivor* out);
std::size_t filter_rows_avx2(const std::uint64_t* rows, std::size_t n, unsigned n_words,
                             const std::uint64_t* query, unsigned bound, std::uint32_t first, Survivor* out);
std::size_t filter_rows_avx512(const std::uint64_t* rows, std::size_t n, unsigned n_words,
                               const std::uint64_t* query, unsigned bound, std::uint32_t first,
                               Survivor* out);
std::size_t filter_rows_neon(const std::uint64_t* rows, std::size_t n, unsigned n_words,
                             const std::uint64_t* query, unsigned bound, std::uint32_t first, Survivor* out);

}  // namespace hashnet
