#include "bindings_index.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
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
using hashnet::FlatCodes;
using hashnet::Policy;
using hashnet::Searcher;
using hashnet::Segment;
using namespace hashnet::python;

// Called between pieces of long work, about ten times a second at most: Ctrl-C ends the work.
hashnet::Poll signals() {
    return [last = std::chrono::steady_clock::now()]() mutable {
        const auto now = std::chrono::steady_clock::now();
        if (now - last < std::chrono::milliseconds(100)) return;
        last = now;
        const py::gil_scoped_acquire held;
        if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    };
}

using Within = std::optional<py::array_t<std::int32_t, py::array::c_style>>;

const std::int32_t* checked(const Within& within, CodesView queries) {
    if (!within) return nullptr;
    const std::int32_t* first = within->data();
    if (within->ndim() != 1 || static_cast<std::size_t>(within->shape(0)) != queries.n) {
        throw std::invalid_argument("within must have shape (number of queries,)");
    }
    const auto in_range = [&](std::int32_t d) {
        return d >= 0 && static_cast<unsigned>(d) <= queries.n_bits;
    };
    if (!std::all_of(first, first + queries.n, in_range)) {
        throw std::invalid_argument("within must be from 0 to n_bits");
    }
    return first;
}

template <class Search>
py::tuple nearest(CodesView queries, std::uint64_t k, unsigned threads, const Within& within,
                  const Search& search) {
    if (k == 0 || k > 0x7FFFFFFF) throw std::invalid_argument("k must be from 1 to 2^31 - 1");
    require_threads(threads);
    const std::int32_t* to_look_within = checked(within, queries);
    const auto nq = static_cast<py::ssize_t>(queries.n);
    py::array_t<std::int32_t> distances({nq, static_cast<py::ssize_t>(k)});
    py::array_t<std::int64_t> ids({nq, static_cast<py::ssize_t>(k)});
    std::int32_t* to_distances = distances.mutable_data();
    std::int64_t* to_ids = ids.mutable_data();
    {
        const py::gil_scoped_release released;
        search.nearest(queries, k, to_look_within, threads, to_distances, to_ids, signals());
    }
    return py::make_tuple(std::move(distances), std::move(ids));
}

template <class Search>
py::tuple balls(CodesView queries, unsigned radius, unsigned threads, const Search& search) {
    require_threads(threads);
    BallArrays found;
    {
        const py::gil_scoped_release released;
        found = search.balls(queries, radius, threads, signals());
    }
    const std::size_t n = found.hits.size;
    return py::make_tuple(as_array(std::move(found.offsets)), as_array(std::move(found.hits.distances), n),
                          as_array(std::move(found.hits.ids), n));
}

// What Python's checks of arguments cost after a query, whose buckets have pushed everything else out of the
// caches, is several times what they cost otherwise (benchmarks/README.md). So what is plainly valid is told
// here; anything else is None, and the caller's checks find what is wrong with it, or that nothing is.

std::optional<CodesView> plain_queries(const Searcher& searcher, const py::object& queries) {
    if (searcher.n_rows() == 0 || !py::isinstance<Codes>(queries)) return std::nullopt;
    const auto codes = py::reinterpret_borrow<Codes>(queries);
    if (codes.ndim() != 2 || codes.shape(1) * 8 != static_cast<py::ssize_t>(searcher.n_bits())) {
        return std::nullopt;
    }
    return CodesView{codes.data(), static_cast<std::size_t>(codes.shape(0)), searcher.n_bits()};
}

std::optional<std::uint64_t> plain_int(const py::object& value, std::uint64_t least, std::uint64_t most) {
    if (!PyLong_CheckExact(value.ptr())) return std::nullopt;
    int overflow = 0;
    const long long found = PyLong_AsLongLongAndOverflow(value.ptr(), &overflow);
    if (overflow != 0 || found < 0) return std::nullopt;
    const auto positive = static_cast<std::uint64_t>(found);
    if (positive < least || positive > most) return std::nullopt;
    return positive;
}

std::optional<std::uint64_t> plain_threads(const py::object& threads, CodesView queries) {
    constexpr std::uint64_t kMost = 4096;
    if (threads.is_none()) return queries.n == 1 ? std::optional<std::uint64_t>(1) : std::nullopt;
    return plain_int(threads, 1, kMost);
}

py::object nearest_if_plain(const Searcher& searcher, const py::object& queries, const py::object& k,
                            const py::object& threads) {
    const auto seen = plain_queries(searcher, queries);
    if (!seen) return py::none();
    const auto wanted = plain_int(k, 1, std::min<std::uint64_t>(searcher.n_rows(), 0x7FFFFFFF));
    const auto cores = plain_threads(threads, *seen);
    if (!wanted || !cores) return py::none();
    return nearest(*seen, *wanted, static_cast<unsigned>(*cores), {}, searcher);
}

py::object balls_if_plain(const Searcher& searcher, const py::object& queries, const py::object& radius,
                          const py::object& threads) {
    const auto seen = plain_queries(searcher, queries);
    if (!seen) return py::none();
    const auto wanted = plain_int(radius, 0, searcher.n_bits());
    const auto cores = plain_threads(threads, *seen);
    if (!wanted || !cores) return py::none();
    return balls(*seen, static_cast<unsigned>(*wanted), static_cast<unsigned>(*cores), searcher);
}

py::array_t<std::int64_t> count(CodesView queries, unsigned radius, unsigned threads,
                                const Searcher& searcher) {
    require_threads(threads);
    py::array_t<std::int64_t> counts(static_cast<py::ssize_t>(queries.n));
    std::int64_t* to = counts.mutable_data();
    {
        const py::gil_scoped_release released;
        searcher.count(queries, radius, threads, to, signals());
    }
    return counts;
}

Policy policy_named(const std::string& name) {
    if (name == "auto") return Policy::kAuto;
    if (name == "probe") return Policy::kProbe;
    if (name == "scan") return Policy::kScan;
    if (name == "uniform") return Policy::kUniform;
    throw std::invalid_argument("policy must be auto, probe, scan or uniform, got " + name);
}

py::array_t<double> time_queries(const Searcher& searcher, const Codes& queries, std::uint64_t k,
                                 unsigned radius, const std::string& policy) {
    const CodesView seen = view(queries);
    const Policy chosen = policy_named(policy);
    py::array_t<double> ns(static_cast<py::ssize_t>(seen.n));
    double* to = ns.mutable_data();
    {
        const py::gil_scoped_release released;
        searcher.time(seen, k, radius, chosen, to, signals());
    }
    return ns;
}

py::list explain(const Searcher& searcher, const Codes& query, std::uint64_t k, unsigned radius,
                 const std::string& policy) {
    const CodesView seen = view(query);
    if (seen.n != 1) throw std::invalid_argument("explain takes one query");
    const Policy chosen = policy_named(policy);
    std::vector<hashnet::SegmentReport> reports;
    {
        const py::gil_scoped_release released;
        reports = searcher.explain(seen.data, seen.n_bits, k, radius, chosen);
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
            [](const Searcher& self, const Codes& queries, std::uint64_t k, unsigned threads,
               const Within& within) { return nearest(view(queries), k, threads, within, self); },
            py::arg("queries").noconvert(), py::arg("k"), py::arg("threads"),
            py::arg("within").noconvert() = py::none())
        .def(
            "search_radius",
            [](const Searcher& self, const Codes& queries, unsigned radius, unsigned threads) {
                return balls(view(queries), radius, threads, self);
            },
            py::arg("queries").noconvert(), py::arg("radius"), py::arg("threads"))
        .def("search_if_plain", &nearest_if_plain, py::arg("queries"), py::arg("k"), py::arg("threads"),
             "As search, or None where an argument needs a closer look.")
        .def("search_radius_if_plain", &balls_if_plain, py::arg("queries"), py::arg("radius"),
             py::arg("threads"), "As search_radius, or None where an argument needs a closer look.")
        .def("explain", &explain, py::arg("query").noconvert(), py::arg("k"), py::arg("radius"),
             py::arg("policy") = "auto")
        .def("time_queries", &time_queries, py::arg("queries").noconvert(), py::arg("k"), py::arg("radius"),
             py::arg("policy") = "auto", "Nanoseconds of each query inside the engine, one at a time.")
        .def(
            "count_radius",
            [](const Searcher& self, const Codes& queries, unsigned radius, unsigned threads) {
                return count(view(queries), radius, threads, self);
            },
            py::arg("queries").noconvert(), py::arg("radius"), py::arg("threads"));

    py::class_<FlatCodes>(m, "FlatCodes", "Plain codes, for linear scans.")
        .def(py::init([](const Codes& codes) { return std::make_unique<FlatCodes>(view(codes)); }),
             py::arg("codes").noconvert())
        .def_property_readonly("n_bits", &FlatCodes::n_bits)
        .def(
            "search",
            [](const FlatCodes& self, const Codes& queries, std::uint64_t k, unsigned threads,
               const Within& within) {
                return nearest(view(queries, self.n_bits()), k, threads, within, self);
            },
            py::arg("queries").noconvert(), py::arg("k"), py::arg("threads"),
            py::arg("within").noconvert() = py::none())
        .def(
            "search_radius",
            [](const FlatCodes& self, const Codes& queries, unsigned radius, unsigned threads) {
                return balls(view(queries, self.n_bits()), radius, threads, self);
            },
            py::arg("queries").noconvert(), py::arg("radius"), py::arg("threads"));

    m.def(
        "scan_search",
        [](const Codes& codes, const Codes& queries, std::uint64_t k, unsigned threads) {
            const CodesView database = view(codes);
            return nearest(view(queries, database.n_bits), k, threads, {}, FlatCodes(database));
        },
        py::arg("codes").noconvert(), py::arg("queries").noconvert(), py::arg("k"), py::arg("threads"),
        "Linear scan for the k nearest rows of codes.");
    m.def(
        "scan_radius",
        [](const Codes& codes, const Codes& queries, unsigned radius, unsigned threads) {
            const CodesView database = view(codes);
            return balls(view(queries, database.n_bits), radius, threads, FlatCodes(database));
        },
        py::arg("codes").noconvert(), py::arg("queries").noconvert(), py::arg("radius"), py::arg("threads"),
        "Linear scan for all rows of codes within a radius.");
}
