#include "bindings_index.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "bindings_arrays.hpp"
#include "search/flat.hpp"
#include "search/searcher.hpp"

namespace py = pybind11;

namespace {

using hashnet::BallArrays;
using hashnet::CodesView;
using hashnet::Searcher;
using hashnet::Segment;
using namespace hashnet::python;

template <class Search>
py::tuple nearest(CodesView queries, std::uint64_t k, unsigned threads, const Search& search) {
    if (k == 0 || k > 0x7FFFFFFF) throw std::invalid_argument("k must be from 1 to 2^31 - 1");
    require_threads(threads);
    const auto nq = static_cast<py::ssize_t>(queries.n);
    py::array_t<std::int32_t> distances({nq, static_cast<py::ssize_t>(k)});
    py::array_t<std::int64_t> ids({nq, static_cast<py::ssize_t>(k)});
    std::int32_t* to_distances = distances.mutable_data();
    std::int64_t* to_ids = ids.mutable_data();
    {
        const py::gil_scoped_release released;
        search.nearest(queries, k, threads, to_distances, to_ids);
    }
    return py::make_tuple(std::move(distances), std::move(ids));
}

template <class Search>
py::tuple balls(CodesView queries, unsigned radius, unsigned threads, const Search& search) {
    require_threads(threads);
    BallArrays found;
    {
        const py::gil_scoped_release released;
        found = search.balls(queries, radius, threads);
    }
    return py::make_tuple(as_array(std::move(found.offsets)), as_array(std::move(found.distances)),
                          as_array(std::move(found.ids)));
}

py::list explain(const Searcher& searcher, const Codes& query, std::uint64_t k, unsigned radius) {
    const CodesView seen = view(query);
    if (seen.n != 1) throw std::invalid_argument("explain takes one query");
    std::vector<hashnet::SegmentReport> reports;
    {
        const py::gil_scoped_release released;
        reports = searcher.explain(seen.data, seen.n_bits, k, radius);
    }
    py::list out;
    for (const hashnet::SegmentReport& report : reports) {
        py::dict one;
        one["scan"] = report.plan.scan;
        one["radii"] = report.plan.radii;
        one["expected_probes"] = report.plan.expected_probes;
        one["expected_candidates"] = report.plan.expected_candidates;
        one["expected_probing_us"] = report.plan.probing_ns / 1000;
        one["expected_scan_us"] = report.plan.scan_ns / 1000;
        one["probes"] = report.counters.probes;
        one["candidates"] = report.counters.candidates;
        one["verified"] = report.counters.verified;
        one["matches"] = report.counters.matches;
        one["us"] = report.ns / 1000;
        out.append(std::move(one));
    }
    return out;
}

}  // namespace

void bind_search(py::module_& m) {
    py::class_<Searcher>(m, "Searcher", "Searches a list of segments.")
        .def(py::init([](const std::vector<std::shared_ptr<Segment>>& segments) {
            return std::make_unique<Searcher>(std::vector<SegmentPointer>(segments.begin(), segments.end()));
        }))
        .def_property_readonly("n_rows", &Searcher::n_rows)
        .def(
            "search",
            [](const Searcher& self, const Codes& queries, std::uint64_t k, unsigned threads) {
                return nearest(view(queries), k, threads, self);
            },
            py::arg("queries").noconvert(), py::arg("k"), py::arg("threads"))
        .def(
            "search_radius",
            [](const Searcher& self, const Codes& queries, unsigned radius, unsigned threads) {
                return balls(view(queries), radius, threads, self);
            },
            py::arg("queries").noconvert(), py::arg("radius"), py::arg("threads"))
        .def("explain", &explain, py::arg("query").noconvert(), py::arg("k"), py::arg("radius"));

    m.def(
        "scan_search",
        [](const Codes& codes, const Codes& queries, std::uint64_t k, unsigned threads) {
            const CodesView database = view(codes);
            return nearest(view(queries, database.n_bits), k, threads, hashnet::FlatCodes(database));
        },
        py::arg("codes").noconvert(), py::arg("queries").noconvert(), py::arg("k"), py::arg("threads"),
        "Linear scan for the k nearest rows of codes.");
    m.def(
        "scan_radius",
        [](const Codes& codes, const Codes& queries, unsigned radius, unsigned threads) {
            const CodesView database = view(codes);
            return balls(view(queries, database.n_bits), radius, threads, hashnet::FlatCodes(database));
        },
        py::arg("codes").noconvert(), py::arg("queries").noconvert(), py::arg("radius"), py::arg("threads"),
        "Linear scan for all rows of codes within a radius.");
}
