// Which instruction set the kernels use, decided once per process.
#pragma once

#include <string>
#include <vector>

namespace hashnet {

enum class Simd { kScalar, kAvx2 };

/// The instruction set in use: the best that the machine has, or the one that HASHNET_SIMD names.
/// Throws std::runtime_error, at the first call, for a name that is unknown or not available here.
Simd active_simd();

/// Names of the instruction sets that this machine can run, best first.
std::vector<std::string> available_simd();

const char* simd_name(Simd simd);

}  // namespace hashnet
