package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"golang.org/x/term"
)

// Output formats.
const (
	outputTable = "table"
	outputJSON  = "json"
	outputYAML  = "yaml"
)

func checkOutput(format string) error {
	switch format {
	case outputTable, outputJSON, outputYAML:
		return nil
	default:
		return Usage(fmt.Errorf("-o %s: use table, json or yaml", format))
	}
}

// show writes a result: v as JSON or YAML, or what render makes of it.
func (a *app) show(v any, render func(w *screen)) error {
	switch a.output {
	case outputJSON:
		return writeJSON(a.Out, v)
	case outputYAML:
		return writeYAML(a.Out, v)
	}
	w := a.screen()
	render(w)
	_, err := io.WriteString(a.Out, w.String())
	return err
}

// screen makes one as wide as the terminal; where there is none, nothing is folded.
func (a *app) screen() *screen {
	width, _ := terminalSize(a.Out)
	return &screen{colors: a.colors(), now: a.Now(), width: width}
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// writeYAML writes v with the keys that it has as JSON, in their order.
func writeYAML(w io.Writer, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var node yaml.Node // JSON is YAML; a node keeps the order of keys
	if err := yaml.Unmarshal(data, &node); err != nil {
		return err
	}
	blockStyle(&node)
	out, err := yaml.Marshal(&node)
	if err != nil {
		return err
	}
	_, err = w.Write(out)
	return err
}

// blockStyle takes the braces and quotes of JSON away where YAML needs none.
func blockStyle(n *yaml.Node) {
	n.Style = 0
	for _, child := range n.Content {
		blockStyle(child)
	}
}

// colors reports whether standard output is a terminal that shows colors.
func (a *app) colors() bool { return a.terminal() && a.Getenv("NO_COLOR") == "" }

// terminal reports whether standard output is a terminal on which a picture can
// be drawn over another.
func (a *app) terminal() bool { return isTerminal(a.Out) && a.Getenv("TERM") != "dumb" }

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// terminalSize gives the characters of a line and the lines of a terminal; more than
// anything has where it is none.
func terminalSize(w io.Writer) (width, height int) {
	if f, ok := w.(*os.File); ok {
		if width, height, err := term.GetSize(int(f.Fd())); err == nil && width > 0 && height > 0 {
			return width, height
		}
	}
	return math.MaxInt32, math.MaxInt32
}

// escapes are what colors text and takes no place.
var escapes = regexp.MustCompile("\x1b\\[[0-9;]*m")

// printed gives how many characters of a line are seen.
func printed(line string) int { return utf8.RuneCountInString(escapes.ReplaceAllString(line, "")) }

// color is an ANSI color.
type color string

// Colors and what they stand for.
const (
	plain  color = ""
	green  color = "32" // as it should be
	yellow color = "33" // under way, or waiting
	red    color = "31" // needs somebody
	faint  color = "2"  // over
)

// meanings gives words of the domain their color.
var meanings = map[string]color{
	"passed": green, "reverted": green, "active": green, "online": green, "well": green, "succeeded": green, "approved": green, "created": green, "registered": green, "ok": green,
	"provisioning": yellow, "discovered": yellow, "degraded": yellow, "flapping": yellow, "maintenance": yellow, "running": yellow, "waiting": yellow, "open": yellow,
	"soaking": yellow, "asking": yellow, "planning": yellow, "paused": yellow, "reverting": yellow, "pending": yellow, "sent": yellow, "accepted": yellow, "deferred": yellow, "sleeping": yellow, "held": yellow, "warning": yellow,
	"timed_out": red, "revert_failed": red, "quarantined": red, "offline": red, "unreachable": red, "failed": red, "rejected": red, "refused": red, "conflict": red, "error": red, "critical": red,
	"excused": faint, "retired": faint, "canceled": faint, "expired": faint, "skipped": faint, "never": faint, "unchanged": faint,
}

// paint colors a cell that is a word of the domain.
func (w *screen) paint(text string) string {
	c := meanings[strings.TrimSpace(text)]
	if !w.colors || c == plain {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// fields writes names and values, one pair a line, without the empty ones.
func (w *screen) fields(pairs ...string) {
	widest := 0
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			widest = max(widest, len(pairs[i]))
		}
	}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			w.line("%s%s%s", pairs[i]+strings.Repeat(" ", widest-len(pairs[i])), columnGap, w.paint(pairs[i+1]))
		}
	}
}
