//! Thermocline.
