#include "kernels/labelled.hpp"

#include "kernels/targets.hpp"

namespace hashnet {

namespace {

// Inlined into one function for each instruction set, which decides what the popcount becomes. kWords and
// kLabelWords of 0 stand for lengths known at run time only.
template <std::size_t kWords, std::size_t kLabelWords>
[[gnu::always_inline]] inline void fill(const LabelledRun& run) {
    const std::size_t n_words = kWords != 0 ? kWords : run.n_words;
    const std::size_t n_label_words = kLabelWords != 0 ? kLabelWords : run.n_label_words;
    for (std::size_t i = 0; i < run.n; ++i) {
        unsigned distance = 0;
        for (std::size_t w = 0; w < n_words; ++w) {
            distance +=
                static_cast<unsigned>(__builtin_popcountll(run.query[w] ^ run.codes[i * n_words + w]));
        }
        std::uint64_t shared = 0;
        for (std::size_t w = 0; w < n_label_words; ++w) {
            shared |= run.query_labels[w] & run.labels[i * n_label_words + w];
        }
        run.values[i] = static_cast<std::uint16_t>(2 * distance + (shared != 0 ? 1u : 0u));
    }
}

template <std::size_t kWords>
[[gnu::always_inline]] inline void fill_labels(const LabelledRun& run) {
    switch (run.n_label_words) {
        case 1:
            return fill<kWords, 1>(run);
        case 2:
            return fill<kWords, 2>(run);
        default:
            return fill<kWords, 0>(run);
    }
}

[[gnu::always_inline]] inline void fill_any(const LabelledRun& run) {
    switch (run.n_words) {
        case 1:
            return fill_labels<1>(run);
        case 2:
            return fill_labels<2>(run);
        default:
            return fill_labels<0>(run);
    }
}

void fill_scalar(const LabelledRun& run) {
    fill_any(run);
}

#if defined(__x86_64__)
// The popcnt instruction: at the usual 1-2 words a code it beats a vector popcount, and labels are read too.
HASHNET_AVX2 void fill_avx2(const LabelledRun& run) {
    fill_any(run);
}

// The compiler counts the bits of eight rows at once where it knows their lengths, and is slow where not.
HASHNET_AVX512 void fill_avx512(const LabelledRun& run) {
    if (run.n_words > 2 || run.n_label_words > 2) return fill_avx2(run);
    fill_any(run);
}
#endif

}  // namespace

FillLabelled fill_labelled(Simd simd) {
    switch (simd) {
#if defined(__x86_64__)
        case Simd::kAvx2:
            return fill_avx2;
        case Simd::kAvx512:
            return fill_avx512;
#endif
        default:
            return fill_scalar;
    }
}

}  // namespace hashnet
