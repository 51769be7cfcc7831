// The bindings of merging, added to the module by bindings.cpp.
#pragma once

#include <pybind11/pybind11.h>

void bind_merging(pybind11::module_& m);
