//! The storage tiers of Thermocline: disk, journal, state.
