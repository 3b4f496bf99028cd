//! MCP over HTTP: strict framing, JSON-RPC, methods, answers.
