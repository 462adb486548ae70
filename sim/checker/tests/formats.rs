//! Histories in files: what is read is what was meant, and what is wrong is told with its place.

mod formats {
    mod jepsen;
    mod laws;
    mod lines;
    mod porcupine;
    mod shown;
}
