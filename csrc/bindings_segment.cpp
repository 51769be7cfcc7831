#include "bindings_index.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "bindings_arrays.hpp"
#include "storage/builder.hpp"
#include "storage/checksum.hpp"
#include "storage/segment.hpp"

namespace py = pybind11;

namespace {

using hashnet::CodesView;
using hashnet::Segment;
using namespace hashnet::python;

// Called from the building thread without the GIL. A pending signal becomes its Python exception, which, like
// one that the callable raises, travels through the builder as a C++ exception.
hashnet::ProgressCallback as_callback(const py::object& progress) {
    return [&progress](const char* stage, std::uint64_t done, std::uint64_t total) {
        const py::gil_scoped_acquire acquired;
        if (PyErr_CheckSignals() != 0) throw py::error_already_set();
        if (!progress.is_none()) progress(stage, done, total);
    };
}

SegmentPointer build(const Codes& codes, const std::optional<Ids>& ids, std::int64_t first_id,
                     const std::string& path, unsigned threads, std::uint64_t memory, unsigned tables,
                     unsigned directory_bits, bool select_bits, const py::object& progress) {
    require_threads(threads);
    const CodesView seen = view(codes);
    if (seen.n == 0 || seen.n > hashnet::kMaxSegmentRows) {
        throw std::invalid_argument("a segment holds from 1 to " + std::to_string(hashnet::kMaxSegmentRows) +
                                    " codes, got " + std::to_string(seen.n));
    }
    if (ids && (ids->ndim() != 1 || static_cast<std::size_t>(ids->shape(0)) != seen.n)) {
        throw std::invalid_argument("ids must have shape (n,), one for each code");
    }
    if (!ids && (first_id < 0 || first_id > INT64_MAX - static_cast<std::int64_t>(seen.n))) {
        throw std::invalid_argument("first_id must be from 0 to 2^63 - 1 - n, got " +
                                    std::to_string(first_id));
    }
    const hashnet::RowIds row_ids{ids ? ids->data() : nullptr, first_id};
    const hashnet::BuildOptions options{
        path, threads, memory, {tables, directory_bits}, select_bits, as_callback(progress)};
    const py::gil_scoped_release released;
    hashnet::Image image = hashnet::build_segment(seen, row_ids, options);
    if (!path.empty()) image = hashnet::Image::map_file(path);
    return std::make_shared<const Segment>(std::move(image), hashnet::Verify::kHeader);
}

SegmentPointer open(const std::string& path, bool copy, bool verify) {
    const py::gil_scoped_release released;
    hashnet::Image image = copy ? hashnet::Image::read_file(path) : hashnet::Image::map_file(path);
    return std::make_shared<const Segment>(std::move(image),
                                           verify ? hashnet::Verify::kAll : hashnet::Verify::kHeader);
}

py::tuple export_rows(const Segment& segment) {
    const auto n = static_cast<py::ssize_t>(segment.n_rows());
    const unsigned n_bytes = segment.n_bits() / 8;
    Codes codes({n, static_cast<py::ssize_t>(n_bytes)});
    Ids ids(n);
    std::uint8_t* to_codes = codes.mutable_data();
    std::int64_t* to_ids = ids.mutable_data();
    {
        const py::gil_scoped_release released;
        segment.each_code(0, segment.n_distinct(), [&](const std::uint64_t* words, std::uint32_t position) {
            const hashnet::Run run = segment.run_at(position);
            for (std::uint32_t row = run.first; row < run.last; ++row) {
                hashnet::store_words(words, segment.n_bits(), to_codes + std::size_t{row} * n_bytes);
                to_ids[row] = segment.id_at(row);
            }
        });
    }
    return py::make_tuple(std::move(codes), std::move(ids));
}

Ids row_ids(const Segment& segment) {
    Ids ids(static_cast<py::ssize_t>(segment.n_rows()));
    std::int64_t* to = ids.mutable_data();
    const py::gil_scoped_release released;
    for (std::uint32_t row = 0; row < segment.n_rows(); ++row) to[row] = segment.id_at(row);
    return ids;
}

py::list describe_tables(const Segment& segment) {
    py::list tables;
    for (const hashnet::Table& table : segment.tables()) {
        py::dict one;
        one["start"] = table.layout.start;
        one["substring_bits"] = table.layout.substring_bits;
        one["directory_bits"] = table.layout.directory_bits;
        one["residue_bytes"] = table.layout.planes;
        one["mean_bucket"] = std::vector<float>(table.mean_bucket.begin(), table.mean_bucket.end());
        tables.append(std::move(one));
    }
    return tables;
}

py::object bit_order(const Segment& segment) {
    if (segment.order().is_identity()) return py::none();
    std::vector<std::uint16_t> order = segment.order().order();
    return as_array(std::move(order));
}

void translate(std::exception_ptr thrown) {
    try {
        if (thrown) std::rethrow_exception(thrown);
    } catch (const std::system_error& error) {
        // As OSError, so that Python sees ENOSPC, ENOENT and EACCES as what they are.
        const py::object arguments = py::make_tuple(error.code().value(), error.what());
        PyErr_SetObject(PyExc_OSError, arguments.ptr());
    }
}

}  // namespace

void bind_segments(py::module_& m) {
    py::register_exception<hashnet::DamagedSegment>(m, "DamagedSegmentError", PyExc_RuntimeError);
    py::register_exception_translator(&translate);
    m.attr("MAX_SEGMENT_ROWS") = hashnet::kMaxSegmentRows;

    py::class_<Segment, std::shared_ptr<Segment>>(m, "Segment", "An immutable part of an index.")
        .def_static("build", &build, py::arg("codes").noconvert(), py::arg("ids").noconvert().none(true),
                    py::arg("first_id") = 0, py::arg("path") = "", py::arg("threads") = 1, py::kw_only(),
                    py::arg("memory") = 0, py::arg("tables") = 0, py::arg("directory_bits") = 0,
                    py::arg("select_bits") = true, py::arg("progress") = py::none(),
                    "Builds a segment, in memory if path is empty, else as a durable new file.")
        .def_static("open", &open, py::arg("path"), py::arg("copy"), py::arg("verify"),
                    "Maps (or reads) a segment file; raises DamagedSegment or OSError.")
        .def_property_readonly("n_bits", &Segment::n_bits)
        .def_property_readonly("n_rows", &Segment::n_rows)
        .def_property_readonly("n_distinct", &Segment::n_distinct)
        .def_property_readonly("checksum", &Segment::checksum, "CRC-32C that identifies the content.")
        .def_property_readonly("size", &Segment::size, "Bytes of the image.")
        .def_property_readonly("residue_form", &Segment::residue_form)
        .def_property_readonly("tables", &describe_tables)
        .def_property_readonly("bit_order", &bit_order, "The dimension of each bit inside, or None.")
        .def("verify", &Segment::verify, py::call_guard<py::gil_scoped_release>(),
             "Compares every section with its checksum.")
        .def("export_rows", &export_rows, "(codes, ids) in the order of table 0.")
        .def("row_ids", &row_ids, "Ids in the order of table 0.");

    m.def(
        "crc32c",
        [](const py::buffer& buffer) {
            const py::buffer_info info = buffer.request();
            return hashnet::crc32c(info.ptr, static_cast<std::size_t>(info.size * info.itemsize));
        },
        py::arg("data"), "CRC-32C of a buffer.");
}
