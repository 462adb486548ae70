//! Estimates of the heap memory that the states of models own.

/// The bytes that an allocator adds to each allocation.
const ALLOCATION: usize = 16;
/// The maximum number of items in a node of the standard library's trees, and the number that a
/// node has at least, unless it is the only one.
const NODE_MAX: usize = 11;
const NODE_MIN: usize = 5;
/// The bytes of a node besides its items: the parent, and the counts.
const NODE: usize = 16;

/// Returns the bytes of the allocation of a vector or a ring buffer of `T`.
pub(super) fn array_bytes<T>(capacity: usize) -> usize {
    if capacity == 0 { 0 } else { capacity * size_of::<T>() + ALLOCATION }
}

/// Returns the bytes of the nodes of a tree with `count` items of the type `T`, at most.
pub(super) fn tree_bytes<T>(count: usize) -> usize {
    if count == 0 {
        return 0;
    }
    let nodes = count.div_ceil(NODE_MIN);
    // Each node but the first has a pointer in another one, which has space for twelve.
    let edges = if nodes == 1 { 0 } else { nodes.div_ceil(NODE_MIN) * (NODE_MAX + 1) };
    nodes * (NODE_MAX * size_of::<T>() + NODE + ALLOCATION) + edges * size_of::<usize>()
}
