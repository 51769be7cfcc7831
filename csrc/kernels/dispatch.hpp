// Which instruction set the kernels use, decided once per process.
#pragma once

#include <string>
#include <vector>

// For functions outside the kernels that count bits once a match: the loader picks the copy that uses the
// popcnt instruction where the processor has it. Without it each count is a call into the compiler's
// library, which was a fifth of a 100-NN query (benchmarks/bench_search.py).
// Not under ThreadSanitizer: the loader chooses before its runtime is up, and the program ends there.
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_THREAD__)
#define HASHNET_POPCNT_CLONES __attribute__((target_clones("popcnt", "default")))
#else
#define HASHNET_POPCNT_CLONES
#endif

namespace hashnet {

enum class Simd { kScalar, kAvx2, kAvx512, kNeon };

/// The instruction set in use: the best that the machine has, or the one that HASHNET_SIMD names.
/// Throws std::runtime_error, at the first call, for a name that is unknown or not available here.
Simd active_simd();

/// Whether this machine, its operating system included, can run an instruction set.
bool is_available(Simd simd);

/// Names of the instruction sets that this machine can run, best first.
std::vector<std::string> available_simd();

const char* simd_name(Simd simd);

}  // namespace hashnet
