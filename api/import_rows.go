package api

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/deviceops/deviceops"
)

// csvRows reads a CSV file with a header line.
type csvRows struct {
	reader  *csv.Reader
	columns []string
}

// setters put a cell into a request, by column; labels.* and attributes.* are
// handled apart.
var setters = map[string]func(*deviceops.RegisterRequest, string) error{
	"id":        func(r *deviceops.RegisterRequest, v string) error { r.ID = v; return nil },
	"serial":    func(r *deviceops.RegisterRequest, v string) error { r.Serial = v; return nil },
	"profile":   func(r *deviceops.RegisterRequest, v string) error { r.Profile = v; return nil },
	"account":   func(r *deviceops.RegisterRequest, v string) error { r.Account = v; return nil },
	"claim":     func(r *deviceops.RegisterRequest, v string) error { r.Claim = v; return nil },
	"parent":    func(r *deviceops.RegisterRequest, v string) error { r.Parent = v; return nil },
	"tags":      func(r *deviceops.RegisterRequest, v string) error { r.Tags = splitTags(v); return nil },
	"zone":      func(r *deviceops.RegisterRequest, v string) error { r.Zone = v; return nil },
	"latitude":  func(r *deviceops.RegisterRequest, v string) error { return degrees(&placeOf(r).Latitude, v) },
	"longitude": func(r *deviceops.RegisterRequest, v string) error { return degrees(&placeOf(r).Longitude, v) },
}

func newCSVRows(body io.Reader) (*csvRows, error) {
	c := &csvRows{reader: csv.NewReader(body)}
	c.reader.ReuseRecord = true
	c.reader.TrimLeadingSpace = true
	c.reader.FieldsPerRecord = -1 // a row with too many or too few cells is that row's fault
	header, err := c.reader.Read()
	if err != nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "the CSV has no header line: %w", err)
	}
	for i, name := range header {
		if i == 0 {
			name = strings.TrimPrefix(name, "\ufeff") // as spreadsheets write it
		}
		c.columns = append(c.columns, strings.TrimSpace(name))
	}
	return c, c.checkColumns()
}

func (c *csvRows) checkColumns() error {
	for i, name := range c.columns {
		known := setters[name] != nil || strings.HasPrefix(name, "labels.") || strings.HasPrefix(name, "attributes.")
		switch {
		case !known:
			return deviceops.Errorf(deviceops.EINVALID, "column %q is unknown; columns are %s, labels.NAME, attributes.NAME", name, strings.Join(slices.Sorted(maps.Keys(setters)), ", "))
		case slices.Contains(c.columns[:i], name):
			return deviceops.Errorf(deviceops.EINVALID, "column %q is there twice", name)
		}
	}
	if !slices.Contains(c.columns, "id") {
		return deviceops.Errorf(deviceops.EINVALID, "the first line has to name the columns, id among them; it is %q", strings.Join(c.columns, ","))
	}
	return nil
}

// next implements rowReader.
func (c *csvRows) next() (row, error) {
	cells, err := c.reader.Read()
	var syntax *csv.ParseError
	if errors.As(err, &syntax) {
		return row{line: syntax.StartLine, bad: deviceops.Errorf(deviceops.EINVALID, "not CSV: %s", syntax.Err)}, nil
	}
	if err != nil {
		return row{}, err
	}
	line, _ := c.reader.FieldPos(0)
	r := row{line: line}
	if len(cells) != len(c.columns) {
		r.bad = deviceops.Errorf(deviceops.EINVALID, "%d cells, but the header has %d", len(cells), len(c.columns))
	}
	for i, cell := range cells[:min(len(cells), len(c.columns))] {
		if err := setCell(&r.request, c.columns[i], strings.TrimSpace(cell)); err != nil && r.bad == nil {
			r.bad = err
		}
	}
	return r, nil
}

// setCell puts a cell into the request; an empty one says nothing.
func setCell(r *deviceops.RegisterRequest, column, cell string) error {
	if cell == "" {
		return nil
	}
	if set := setters[column]; set != nil {
		if err := set(r, cell); err != nil {
			return deviceops.Errorf(deviceops.EINVALID, "%s: %w", column, err)
		}
		return nil
	}
	if name, ok := strings.CutPrefix(column, "labels."); ok {
		if r.Labels == nil {
			r.Labels = map[string]string{}
		}
		r.Labels[name] = cell
		return nil
	}
	if r.Attributes == nil {
		r.Attributes = map[string]any{}
	}
	r.Attributes[strings.TrimPrefix(column, "attributes.")] = cell
	return nil
}

func splitTags(v string) []string {
	var tags []string
	for _, tag := range strings.Split(v, ";") {
		if tag = strings.TrimSpace(tag); tag != "" {
			tags = append(tags, tag)
		}
	}
	return tags
}

func placeOf(r *deviceops.RegisterRequest) *deviceops.Place {
	if r.Place == nil {
		r.Place = &deviceops.Place{}
	}
	return r.Place
}

func degrees(to *float64, v string) error {
	f, err := strconv.ParseFloat(v, 64)
	if err != nil {
		return deviceops.Errorf(deviceops.EINVALID, "%q is no number of degrees", v)
	}
	*to = f
	return nil
}

// maxImportLine is how long a line of NDJSON may be, in bytes.
const maxImportLine = 64 << 10

// ndjsonRows reads one JSON object per line; empty lines are passed over.
type ndjsonRows struct {
	scanner *bufio.Scanner
	line    int
}

func newNDJSONRows(body io.Reader) *ndjsonRows {
	s := bufio.NewScanner(body)
	s.Buffer(make([]byte, 0, maxImportLine), maxImportLine)
	return &ndjsonRows{scanner: s}
}

// next implements rowReader.
func (n *ndjsonRows) next() (row, error) {
	for n.scanner.Scan() {
		n.line++
		text := bytes.TrimSpace(n.scanner.Bytes())
		if len(text) == 0 {
			continue
		}
		r := row{line: n.line}
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&r.request); err != nil {
			r.bad = deviceops.Errorf(deviceops.EINVALID, "not a registration: %s", err)
		} else if decoder.More() {
			r.bad = deviceops.Errorf(deviceops.EINVALID, "more than one object on the line")
		}
		return r, nil
	}
	if err := n.scanner.Err(); err != nil {
		return row{}, err
	}
	return row{}, io.EOF
}
