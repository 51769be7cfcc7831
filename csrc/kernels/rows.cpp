#include "kernels/rows.hpp"

#include "codes.hpp"
#include "kernels/rows_kernels.hpp"

namespace hashnet {

std::size_t filter_rows_scalar(const std::uint64_t* rows, std::size_t n, unsigned n_words,
                               const std::uint64_t* query, unsigned bound, std::uint32_t first,
                               Survivor* out) {
    std::size_t found = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const unsigned d = distance(rows + i * n_words, query, n_words);
        if (d <= bound) out[found++] = {first + static_cast<std::uint32_t>(i), d};
    }
    return found;
}

FilterRows filter_rows(Simd simd) {
    switch (simd) {
#if defined(__x86_64__)
        case Simd::kAvx2:
            return filter_rows_avx2;
        case Simd::kAvx512:
            return filter_rows_avx512;
#endif
#if defined(__aarch64__)
        case Simd::kNeon:
            return filter_rows_neon;
#endif
        default:
            return filter_rows_scalar;
    }
}

}  // namespace hashnet
