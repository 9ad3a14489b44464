// Package api serves DeviceOps over HTTP: REST under /v1, described by
// /openapi.json, with server-sent events for what moves.
//
// # Rules that hold for every route
//
//   - Who: a bearer token names a principal. A route asks for one role; viewer
//     reads, operator works with devices, runs and commands, author publishes,
//     admin does all. An approval is decided by those whom it asks.
//   - Where: a principal acts in its account and below. What lies elsewhere is
//     not found, as if it did not exist.
//   - Why: every call that changes something takes a reason, in the header
//     X-Reason or in the field reason, and leaves an audit entry.
//   - Errors: RFC 9457 problems whose member "code" is a code of package
//     deviceops; statusOf is the one place that maps codes to HTTP statuses.
//   - Pages: {"items": [...], "next": "..."}; pass next as cursor to go on. A
//     cursor is opaque.
//   - Repeats: ids make most calls idempotent. Those that make a new thing (a
//     command, a run) take an Idempotency-Key: the same key of the same
//     principal makes the thing once.
//
// Handlers are methods of one service per entity; they know ports of the root
// and no HTTP. The routes of an entity stand at the top of its file.
package api
