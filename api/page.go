package api

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/deviceops/deviceops"
)

// page is one page of a list.
type page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty" doc:"Pass as cursor for the next page; absent on the last"`
}

// Paged is the part of the input of every list with pages.
type Paged struct {
	Cursor string `query:"cursor" doc:"The member next of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

// after gives the key at which the page before ended; "" on the first page.
func (p Paged) after() (string, error) {
	if p.Cursor == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(p.Cursor)
	key, ok := strings.CutPrefix(string(raw), cursorPrefix)
	if err != nil || !ok {
		return "", deviceops.Errorf(deviceops.EINVALID, "the cursor is not one that was given out; begin again without it")
	}
	return key, nil
}

// afterNumber is after for lists whose keys are numbers.
func (p Paged) afterNumber() (int64, error) {
	key, err := p.after()
	if err != nil || key == "" {
		return 0, err
	}
	n, err := strconv.ParseInt(key, 10, 64)
	if err != nil {
		return 0, deviceops.Errorf(deviceops.EINVALID, "the cursor belongs to another list")
	}
	return n, nil
}

// cursorPrefix tells a cursor of this form from those of forms to come.
const cursorPrefix = "1:"

func cursor(key string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(cursorPrefix + key))
}

// pageOf makes a page of up to limit items out of rows, of which one more was
// asked for to see whether there is a next page.
func pageOf[T any](rows []T, limit int, key func(T) string) page[T] {
	if len(rows) <= limit {
		return page[T]{Items: orEmpty(rows)}
	}
	rows = rows[:limit]
	return page[T]{Items: rows, Next: cursor(key(rows[limit-1]))}
}

// orEmpty keeps an empty list from becoming null.
func orEmpty[T any](rows []T) []T {
	if rows == nil {
		return []T{}
	}
	return rows
}
