// What the bindings of segments and of searches share: array types and their views.
#pragma once

#include <pybind11/numpy.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "codes.hpp"
#include "storage/segment.hpp"

namespace hashnet::python {

namespace py = pybind11;

using Codes = py::array_t<std::uint8_t, py::array::c_style>;
using Ids = py::array_t<std::int64_t, py::array::c_style>;
using SegmentPointer = std::shared_ptr<const Segment>;

inline CodesView view(const Codes& codes) {
    if (codes.ndim() != 2 || codes.shape(1) < 1 || codes.shape(1) > kMaxBits / 8) {
        throw std::invalid_argument("codes must have shape (n, n_bits / 8) with n_bits from 8 to 1024");
    }
    return {codes.data(), static_cast<std::size_t>(codes.shape(0)),
            static_cast<unsigned>(codes.shape(1)) * 8};
}

inline CodesView view(const Codes& codes, unsigned n_bits) {
    const CodesView seen = view(codes);
    if (seen.n_bits != n_bits) {
        throw std::invalid_argument("codes have " + std::to_string(seen.n_bits) + " bits, wanted " +
                                    std::to_string(n_bits));
    }
    return seen;
}

/// Hands a vector over to numpy without copying it.
template <class T>
py::array_t<T> as_array(std::vector<T>&& values) {
    auto owner = std::make_unique<std::vector<T>>(std::move(values));
    const auto size = static_cast<py::ssize_t>(owner->size());
    T* data = owner->data();
    py::capsule guard(owner.release(), [](void* held) { delete static_cast<std::vector<T>*>(held); });
    return py::array_t<T>(size, data, guard);
}

template <class T>
py::array_t<T> as_array(std::unique_ptr<T[]>&& values, std::size_t size) {
    T* data = values.get();
    py::capsule guard(values.release(), [](void* held) { delete[] static_cast<T*>(held); });
    return py::array_t<T>(static_cast<py::ssize_t>(size), data, guard);
}

inline void require_threads(unsigned threads) {
    if (threads == 0) throw std::invalid_argument("threads must be at least 1, got 0");
}

}  // namespace hashnet::python
