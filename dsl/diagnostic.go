package dsl

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/deviceops/deviceops"
)

// Severity says whether a diagnostic keeps a document from being published.
type Severity string

// Severities.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
)

// Diagnostic is one thing to say about one place of a file. Lines and columns
// count from 1, columns in characters.
type Diagnostic struct {
	File      string   `json:"file"`
	Line      int      `json:"line"`
	Column    int      `json:"column"`
	EndColumn int      `json:"end_column"` // first column after the place, on the same line
	Severity  Severity `json:"severity"`
	Code      string   `json:"code"`    // stable, such as "yaml-tag" or "unknown-key"
	Message   string   `json:"message"` // what is wrong
	Fix       string   `json:"fix,omitempty"`
	Snippet   string   `json:"snippet"` // the source line
}

// Diagnostics are what the pipeline found, in the order of the file.
type Diagnostics []Diagnostic

// HasErrors reports whether there is an error among ds.
func (ds Diagnostics) HasErrors() bool {
	return slices.ContainsFunc(ds, func(d Diagnostic) bool { return d.Severity == SeverityError })
}

// Err gives EINVALID with all errors as text, or nil if there is none.
func (ds Diagnostics) Err() error {
	if !ds.HasErrors() {
		return nil
	}
	var b strings.Builder
	_ = WriteText(&b, ds)
	return deviceops.Errorf(deviceops.EINVALID, "%s", strings.TrimRight(b.String(), "\n"))
}

// sorted puts ds in the order of the file. Of several at one place the first is
// kept: the others follow from it.
func (ds Diagnostics) sorted() Diagnostics {
	slices.SortStableFunc(ds, func(a, b Diagnostic) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return slices.CompactFunc(ds, func(a, b Diagnostic) bool {
		return a.Line == b.Line && a.Column == b.Column
	})
}

// String gives the diagnostic as text of several lines:
//
//	kiosk.yaml:12:9: error: there is no input "batery"; did you mean battery? [unknown-name]
//	  12 |     if: inputs.batery < 20
//	     |                ^^^^^^
//	fix: write inputs.battery
func (d Diagnostic) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: %s: %s [%s]\n", d.File, d.Line, d.Column, d.Severity, d.Message, d.Code)
	number := strconv.Itoa(d.Line)
	fmt.Fprintf(&b, "  %s | %s\n", number, strings.ReplaceAll(d.Snippet, "\t", " "))
	fmt.Fprintf(&b, "  %s | %s%s\n", strings.Repeat(" ", len(number)), strings.Repeat(" ", d.Column-1), strings.Repeat("^", max(1, d.EndColumn-d.Column)))
	if d.Fix != "" {
		fmt.Fprintf(&b, "fix: %s\n", strings.ReplaceAll(d.Fix, "\n", "\n     "))
	}
	return b.String()
}

// WriteText writes ds for people, an empty line between two.
func WriteText(w io.Writer, ds Diagnostics) error {
	for i, d := range ds {
		if i > 0 {
			if _, err := fmt.Fprintln(w); err != nil {
				return err
			}
		}
		if _, err := io.WriteString(w, d.String()); err != nil {
			return err
		}
	}
	return nil
}

// WriteJSON writes ds as one JSON array.
func WriteJSON(w io.Writer, ds Diagnostics) error {
	if ds == nil {
		ds = Diagnostics{}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(ds)
}

// githubEscapes are the characters that have a meaning in a workflow command.
var githubEscapes = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")

// WriteGitHub writes ds as workflow commands, which GitHub shows as annotations
// in a pull request.
func WriteGitHub(w io.Writer, ds Diagnostics) error {
	for _, d := range ds {
		message := d.Message
		if d.Fix != "" {
			message += "\nfix: " + d.Fix
		}
		name := strings.NewReplacer(":", "%3A", ",", "%2C").Replace(githubEscapes.Replace(d.File))
		_, err := fmt.Fprintf(w, "::%s file=%s,line=%d,col=%d,endColumn=%d,title=%s::%s\n",
			d.Severity, name, d.Line, d.Column, d.EndColumn, d.Code, githubEscapes.Replace(message))
		if err != nil {
			return err
		}
	}
	return nil
}
