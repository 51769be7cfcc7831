// Python's view of the ranking kernel.
#include "bindings_ranking.hpp"

#include <pybind11/numpy.h>

#include <limits>
#include <stdexcept>
#include <string>
#include <utility>

#include "search/ranking.hpp"

namespace py = pybind11;

namespace {

using Codes = py::array_t<std::uint8_t, py::array::c_style>;
using Labels = py::array_t<std::uint64_t, py::array::c_style>;

hashnet::LabelledCodes view(const Codes& codes, const Labels& labels, const std::string& name) {
    if (codes.ndim() != 2 || codes.shape(1) < 1 || codes.shape(1) > 128) {
        throw std::invalid_argument(name + " must have shape (n, n_bits / 8) with n_bits from 8 to 1024");
    }
    if (labels.ndim() != 2 || labels.shape(1) < 1) {
        throw std::invalid_argument("labels of " + name + " must have shape (n, n_words), at least one word");
    }
    if (labels.shape(0) != codes.shape(0)) {
        throw std::invalid_argument(name + " has " + std::to_string(codes.shape(0)) + " codes but " +
                                    std::to_string(labels.shape(0)) + " rows of labels; give one to each");
    }
    if (codes.shape(0) < 1 || codes.shape(0) > std::numeric_limits<std::uint32_t>::max()) {
        throw std::invalid_argument(name + " must have from 1 to 2^32 - 1 codes, got " +
                                    std::to_string(codes.shape(0)));
    }
    return {codes.data(), labels.data(), static_cast<std::size_t>(codes.shape(0)),
            static_cast<std::size_t>(codes.shape(1)), static_cast<std::size_t>(labels.shape(1))};
}

template <class T>
py::array_t<T> to_array(const std::vector<T>& values) {
    return py::array_t<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

template <class T>
py::array_t<T> to_rows(const std::vector<T>& values, std::size_t n_rows) {
    const auto n = static_cast<py::ssize_t>(n_rows);
    return py::array_t<T>({n, static_cast<py::ssize_t>(values.size()) / n}, values.data());
}

py::tuple rank(const Codes& queries, const Labels& query_labels, const Codes& codes, const Labels& labels,
               py::ssize_t at, unsigned threads) {
    const auto asked = view(queries, query_labels, "queries");
    const auto database = view(codes, labels, "codes");
    if (asked.n_bytes != database.n_bytes || asked.n_label_words != database.n_label_words) {
        throw std::invalid_argument("queries and codes must agree in n_bits and in the number of labels");
    }
    if (at < 1) throw std::invalid_argument("at must be at least 1, got " + std::to_string(at));
    hashnet::Ranking ranking;
    {
        const py::gil_scoped_release released;
        ranking = hashnet::rank(asked, database, static_cast<std::size_t>(at), threads);
    }
    return py::make_tuple(to_rows(ranking.all, asked.n), to_rows(ranking.relevant, asked.n),
                          to_array(ranking.average_precision), to_array(ranking.tie_aware),
                          to_array(ranking.hits), to_array(ranking.expected_hits));
}

}  // namespace

void bind_ranking(py::module_& m) {
    m.def("rank", &rank, py::arg("queries").noconvert(), py::arg("query_labels").noconvert(),
          py::arg("codes").noconvert(), py::arg("labels").noconvert(), py::arg("at"), py::arg("threads") = 0,
          "Histograms of distances (all, relevant), average precision, its tie-aware mean, hits at each rank "
          "and their tie-aware mean.");
}
