package postgres

import "strings"

// column gives one field of records as the parameter of an unnest, which
// PostgreSQL reads several times as fast as JSON.
func column[T, V any](records []T, field func(*T) V) []V {
	values := make([]V, len(records))
	for i := range records {
		values[i] = field(&records[i])
	}
	return values
}

// texts gives a field that is text. What a device said may hold what PostgreSQL
// cannot: see encode.
func texts[T any](records []T, field func(*T) string) []string {
	return column(records, func(r *T) string { return cleanText(field(r)) })
}

func cleanText(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// among is true when left is one of the rows of a query over the same
// statement's CTEs. The planner knows nothing of their number, and would compare
// all with all if it were free to join; a condition of this form it looks up by
// hash.
func among(left, query string) string { return `((` + left + ` in (` + query + `)) is true)` }

// documents gives a field that is JSON; null says where it is NULL. The first
// error is left in err.
func documents[T any](records []T, err *error, field func(*T) (v any, null bool)) []*string {
	return column(records, func(r *T) *string {
		v, null := field(r)
		text, failed := jsonText(v, null)
		if *err == nil {
			*err = failed
		}
		return text
	})
}
