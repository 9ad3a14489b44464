// Package postgres keeps the fleet in PostgreSQL 15 or newer. Store implements
// deviceops.Store with hand-written SQL, one file per entity.
//
// What holds in the whole package:
//
//   - Migrate brings the schema up; Open does not, so that a role that only
//     reads and writes rows can serve.
//   - Bulk methods are one statement over one JSON parameter
//     (json_to_recordset): the number of round trips does not grow with the
//     batch, and what devices send is made storable in one place (see encode).
//   - A zero time is NULL. Times are kept in microseconds and come back in UTC.
//   - Numbers inside JSON keep their kind: 80 comes back as int64, 80.0 as
//     float64.
//   - Transactions are READ COMMITTED. Where a decision needs a fresh look, the
//     lock is taken by one statement and the look by the next.
package postgres
