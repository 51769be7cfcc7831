// What probing and scanning cost, for the planner to compare.
#pragma once

#include "storage/segment.hpp"

namespace hashnet {

/// Nanoseconds of the parts of a search in one segment, fitted to one core of the development machine; only
/// their ratios matter. benchmarks/bench_planner.py tells how far time is from what they foretell.
struct Costs {
    double beginning;       // of probing as a whole
    double probe;           // looking up a bucket, and starting to compare it
    double entry;           // comparing one entry of a bucket
    double survivor;        // verifying an entry that passed
    double match;           // locating a match, once; and
    double nearest;         // one of a k-NN search, which ranks it
    double scan_entry;      // passing one code in a scan, and
    double scan_read;       // comparing it, unless its whole block is too far away
    double scan_match;      // what a match costs a scan besides that
    double scan_beginning;  // of a scan as a whole
    double scan_nearest;    // finding the bound of a k-NN scan, times the root of k
    double scan_runs;       // telling it of runs, times the root of their number

    /// What a probe of this table costs besides, because its directory is beyond the core's own cache.
    static double far_probe(const TableLayout& layout);

    /// For the instruction set in use, and for data that fit into the cache or do not.
    static Costs of(const Segment& segment);
};

}  // namespace hashnet
