// The instruction sets that wide kernels are compiled for, function by function.
//
// A helper that is to be inlined into a kernel carries the same attribute; one that uses no intrinsics may go
// without, and is then compiled for whatever it is inlined into.
#pragma once

#if defined(__x86_64__)
// GCC 12 takes the undefined registers of its own AVX-512 header for ours (GCC bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#define HASHNET_AVX2 __attribute__((target("avx2,popcnt,bmi,bmi2")))
#define HASHNET_AVX512                                                                             \
    __attribute__((                                                                                \
        target("avx2,avx512f,avx512bw,avx512vl,avx512dq,avx512bitalg,avx512vpopcntdq,avx512vbmi2," \
               "popcnt,bmi,bmi2")))
#endif

#if defined(__aarch64__)
#include <arm_neon.h>

#include <cstdint>

namespace hashnet {

/// One bit for each byte of a comparison, bit 4 * i for byte i: a narrowing shift, as NEON has no movemask.
inline std::uint64_t byte_mask(uint8x16_t compared) {
    const uint8x8_t nibbles = vshrn_n_u16(vreinterpretq_u16_u8(compared), 4);
    return vget_lane_u64(vreinterpret_u64_u8(nibbles), 0) & 0x1111111111111111;
}

}  // namespace hashnet
#endif
