// Python's view of segments, searches and linear scans.
#pragma once

#include <pybind11/pybind11.h>

void bind_segments(pybind11::module_& m);
void bind_search(pybind11::module_& m);
