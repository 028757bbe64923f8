//! Kernels run by the interpreter alone.
