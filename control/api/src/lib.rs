//! gRPC and HTTP types between the planes.
