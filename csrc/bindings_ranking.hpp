// The bindings of the ranking kernel, added to the module by bindings.cpp.
#pragma once

#include <pybind11/pybind11.h>

void bind_ranking(pybind11::module_& m);
