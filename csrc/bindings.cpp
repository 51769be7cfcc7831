// Python's view of the engine. Only the bindings know Python.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings_index.hpp"
#include "bindings_merging.hpp"
#include "bindings_ranking.hpp"
#include "kernels/dispatch.hpp"

namespace py = pybind11;

PYBIND11_MODULE(_core, m) {
    m.doc() = "The native engine of hashnet.";
    m.def(
        "simd", [] { return std::string(hashnet::simd_name(hashnet::active_simd())); },
        "Name of the instruction set in use.");
    m.def("available_simd", &hashnet::available_simd, "Instruction sets this machine can run, best first.");
    bind_segments(m);
    bind_search(m);
    bind_merging(m);
    bind_ranking(m);
}
