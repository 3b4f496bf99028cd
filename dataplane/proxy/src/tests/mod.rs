//! A worker with its rings and TLS, between real clients and a real PostgreSQL that asks for each
//! kind of proof.

mod bed;
mod cancels;
mod clients;
mod cluster;
mod holes;
mod intruder;
mod opening;
mod servers;
mod talk;
