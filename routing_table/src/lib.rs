//! The hard-coded consistent-hash table of Thermocline.
