//! One bench per layer, and the whole relay against named rivals.
