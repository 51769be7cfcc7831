#include "bindings_merging.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "bindings_arrays.hpp"
#include "search/merging.hpp"
#include "search/searcher.hpp"

namespace py = pybind11;

namespace {

using namespace hashnet::python;
using hashnet::Found;
using hashnet::Merger;
using Distances = py::array_t<std::int32_t, py::array::c_style>;

void require(bool holds, const char* rule) {
    if (!holds) throw std::invalid_argument(rule);
}

py::tuple merge_neighbors(const std::vector<Distances>& distances, const std::vector<Ids>& ids,
                          std::size_t k) {
    require(!distances.empty() && distances.size() == ids.size(), "parts need distances and ids each");
    std::vector<Found> parts;
    for (std::size_t i = 0; i < distances.size(); ++i) {
        require(distances[i].ndim() == 2 && ids[i].ndim() == 2, "neighbours must have shape (nq, k)");
        require(distances[i].shape(0) == distances[0].shape(0) && ids[i].shape(0) == ids[0].shape(0) &&
                    distances[i].shape(0) == ids[i].shape(0) && distances[i].shape(1) == ids[i].shape(1),
                "distances and ids of all parts must belong to the same queries");
        parts.push_back(
            {distances[i].data(), ids[i].data(), static_cast<std::size_t>(distances[i].shape(1))});
    }
    const py::ssize_t nq = distances[0].shape(0);
    Distances merged_distances({nq, static_cast<py::ssize_t>(k)});
    Ids merged_ids({nq, static_cast<py::ssize_t>(k)});
    std::int32_t* to_distances = merged_distances.mutable_data();
    std::int64_t* to_ids = merged_ids.mutable_data();
    {
        const py::gil_scoped_release released;
        Merger merger(parts.size());
        for (py::ssize_t q = 0; q < nq; ++q, to_distances += k, to_ids += k) {
            for (Found& part : parts) {
                merger.add(part);
                part.distances += part.n;
                part.ids += part.n;
            }
            const std::size_t n = merger.merge(k, to_distances, to_ids);
            std::fill(to_distances + n, to_distances + k, hashnet::kPadDistance);
            std::fill(to_ids + n, to_ids + k, hashnet::kPadId);
        }
    }
    return py::make_tuple(std::move(merged_distances), std::move(merged_ids));
}

struct BallsPart {
    const std::int64_t* offsets;
    const std::int32_t* distances;
    const std::int64_t* ids;
};

py::tuple merge_balls(const std::vector<Ids>& offsets, const std::vector<Distances>& distances,
                      const std::vector<Ids>& ids) {
    require(!offsets.empty() && offsets.size() == distances.size() && offsets.size() == ids.size(),
            "parts need offsets, distances and ids each");
    const py::ssize_t length = offsets[0].size();
    std::vector<BallsPart> parts;
    std::vector<std::int64_t> merged_offsets(static_cast<std::size_t>(std::max<py::ssize_t>(length, 1)), 0);
    for (std::size_t i = 0; i < offsets.size(); ++i) {
        require(offsets[i].ndim() == 1 && distances[i].ndim() == 1 && ids[i].ndim() == 1 && length > 0 &&
                    offsets[i].size() == length && distances[i].size() == ids[i].size(),
                "offsets must have shape (nq + 1,), distances and ids one length");
        const std::int64_t* own = offsets[i].data();
        require(own[0] == 0 && std::is_sorted(own, own + length) && own[length - 1] == ids[i].size(),
                "offsets must ascend from 0 to the number of ids");
        for (py::ssize_t q = 0; q < length; ++q) merged_offsets[static_cast<std::size_t>(q)] += own[q];
        parts.push_back({own, distances[i].data(), ids[i].data()});
    }
    const auto total = static_cast<py::ssize_t>(merged_offsets.back());
    Distances merged_distances(total);
    Ids merged_ids(total);
    std::int32_t* to_distances = merged_distances.mutable_data();
    std::int64_t* to_ids = merged_ids.mutable_data();
    {
        const py::gil_scoped_release released;
        Merger merger(parts.size());
        for (py::ssize_t q = 0; q + 1 < length; ++q) {
            for (const BallsPart& part : parts) {
                const std::int64_t at = part.offsets[q];
                merger.add(
                    {part.distances + at, part.ids + at, static_cast<std::size_t>(part.offsets[q + 1] - at)});
            }
            const std::size_t n = merger.merge(static_cast<std::size_t>(total), to_distances, to_ids);
            to_distances += n;
            to_ids += n;
        }
    }
    return py::make_tuple(as_array(std::move(merged_offsets)), std::move(merged_distances),
                          std::move(merged_ids));
}

}  // namespace

void bind_merging(py::module_& m) {
    m.def("merge_neighbors", &merge_neighbors, py::arg("distances"), py::arg("ids"), py::arg("k"),
          "The k nearest over disjoint parts whose rows ascend (distance, id).");
    m.def("merge_balls", &merge_balls, py::arg("offsets"), py::arg("distances"), py::arg("ids"),
          "The union of balls of disjoint parts that ascend (distance, id).");
}
