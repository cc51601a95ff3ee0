//! What every map will hold. Knows nothing of Istio.
