package deviceops

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Redacted stands where a secret was.
const Redacted = "[redacted]"

// Lengths, in bytes, below which a secret is not looked for. A value of one or
// two characters is no secret, and would be found in every text.
const (
	minSecret = 4
	minLine   = 12 // of a secret with several lines, such as a key in PEM
	minBase64 = 8
)

// A Redactor knows the secrets that were handed out and takes them out of what
// leaves: outputs, errors, heartbeats and logs. One serves one execution of an
// activity: the fewer it knows, the less it replaces by chance. It finds a
// secret as it is, and as URLs, JSON, hex and base64 write it (inside a longer
// text too, as in HTTP basic authentication). The zero value knows none; all
// methods may be called at the same time.
type Redactor struct {
	mu       sync.RWMutex
	forms    []string // longest first: what contains another form goes before it
	replacer *strings.Replacer
}

// Add makes a secret known.
func (r *Redactor) Add(secret string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forms = append(r.forms, secretForms(secret)...)
	slices.SortFunc(r.forms, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	r.forms = slices.Compact(r.forms)
	pairs := make([]string, 0, 2*len(r.forms))
	for _, form := range r.forms {
		pairs = append(pairs, form, Redacted)
	}
	r.replacer = strings.NewReplacer(pairs...)
}

// secretForms gives the texts in which a secret may show.
func secretForms(secret string) []string {
	var forms []string
	for _, text := range append(secretLines(secret), secret, strings.TrimSpace(secret)) {
		if len(text) < minSecret {
			continue
		}
		raw, _ := json.Marshal(text) // a string never fails
		var plain bytes.Buffer
		encoder := json.NewEncoder(&plain)
		encoder.SetEscapeHTML(false)
		_ = encoder.Encode(text)
		forms = append(forms, text, url.QueryEscape(text), url.PathEscape(text),
			strings.Trim(string(raw), `"`), strings.Trim(strings.TrimSpace(plain.String()), `"`), strings.Trim(strconv.Quote(text), `"`),
			hex.EncodeToString([]byte(text)), strings.ToUpper(hex.EncodeToString([]byte(text))))
		forms = append(forms, base64Forms(text)...)
	}
	return forms
}

func secretLines(secret string) []string {
	var lines []string
	for line := range strings.Lines(secret) {
		if line = strings.TrimSpace(line); len(line) >= minLine {
			lines = append(lines, line)
		}
	}
	return lines
}

// base64Forms gives what base64 makes of text wherever it begins in what is
// encoded: at each of the three offsets, without the characters in which it
// mixes with its neighbors.
func base64Forms(text string) []string {
	var forms []string
	for offset := range 3 {
		padded := append(make([]byte, offset), text...)
		from, to := (offset*8+5)/6, len(padded)*8/6
		if to-from < minBase64 {
			continue
		}
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			forms = append(forms, encoding.EncodeToString(padded)[from:to])
		}
	}
	return forms
}

// Text gives s without secrets.
func (r *Redactor) Text(s string) string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.replacer == nil {
		return s
	}
	return r.replacer.Replace(s)
}

// Value gives v without secrets, in keys and in values. What has none comes back
// as it is; otherwise maps and lists are copies, and other types become what
// JSON makes of them.
func (r *Redactor) Value(v any) any {
	switch v := v.(type) {
	case nil, bool:
		return v
	case string:
		return r.Text(v)
	case map[string]any:
		clean := make(map[string]any, len(v))
		for key, item := range v {
			clean[r.Text(key)] = r.Value(item)
		}
		return clean
	case []any:
		clean := make([]any, len(v))
		for i, item := range v {
			clean[i] = r.Value(item)
		}
		return clean
	case json.Number, int, int64, float64:
		if r.Text(fmt.Sprint(v)) != fmt.Sprint(v) {
			return Redacted
		}
		return v
	default:
		return r.encoded(v)
	}
}

// encoded redacts by way of JSON, since that is how the value would leave.
func (r *Redactor) encoded(v any) any {
	data, err := json.Marshal(v)
	if err != nil {
		return Redacted
	}
	if r.Text(string(data)) == string(data) {
		return v
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var tree any
	if err := decoder.Decode(&tree); err != nil {
		return Redacted
	}
	return r.Value(tree)
}

// Error gives err without secrets: err itself if neither it nor a cause of it
// says any, else an error of the same code that still is context.Canceled or
// context.DeadlineExceeded if err was. It gives nil for nil.
func (r *Redactor) Error(err error) error {
	if err == nil || !r.tells(err) {
		return err
	}
	cause := errors.New(r.Text(err.Error()))
	for _, sentinel := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, sentinel) {
			cause = fmt.Errorf("%w: %w", cause, sentinel)
		}
	}
	return &Error{Code: ErrorCode(err), Message: r.Text(ErrorMessage(err)), Err: cause}
}

// tells reports whether an error or one of its causes says a secret.
func (r *Redactor) tells(err error) bool {
	if err == nil {
		return false
	}
	if text := err.Error(); r.Text(text) != text {
		return true
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return slices.ContainsFunc(many.Unwrap(), r.tells)
	}
	return r.tells(errors.Unwrap(err))
}

// Secrets gives s such that every value it hands out becomes known.
func (r *Redactor) Secrets(s Secrets) Secrets { return watchedSecrets{s, r} }

type watchedSecrets struct {
	Secrets
	redactor *Redactor
}

// Secret implements Secrets.
func (w watchedSecrets) Secret(ctx context.Context, account, reference string) (string, error) {
	value, err := w.Secrets.Secret(ctx, account, reference)
	if err == nil {
		w.redactor.Add(value)
	}
	return value, err
}

// Logger gives a logger that writes what l does, without secrets.
func (r *Redactor) Logger(l *slog.Logger) *slog.Logger {
	return slog.New(redactingHandler{l.Handler(), r})
}

type redactingHandler struct {
	slog.Handler
	redactor *Redactor
}

// Handle implements slog.Handler.
func (h redactingHandler) Handle(ctx context.Context, record slog.Record) error {
	clean := slog.NewRecord(record.Time, record.Level, h.redactor.Text(record.Message), record.PC)
	record.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(h.attr(a))
		return true
	})
	return h.Handler.Handle(ctx, clean)
}

// WithAttrs implements slog.Handler.
func (h redactingHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = h.attr(a)
	}
	return redactingHandler{h.Handler.WithAttrs(clean), h.redactor}
}

// WithGroup implements slog.Handler.
func (h redactingHandler) WithGroup(name string) slog.Handler {
	return redactingHandler{h.Handler.WithGroup(name), h.redactor}
}

func (h redactingHandler) attr(a slog.Attr) slog.Attr {
	value := a.Value.Resolve()
	switch value.Kind() {
	case slog.KindGroup:
		clean := make([]slog.Attr, len(value.Group()))
		for i, inner := range value.Group() {
			clean[i] = h.attr(inner)
		}
		return slog.Attr{Key: a.Key, Value: slog.GroupValue(clean...)}
	case slog.KindAny:
		if err, ok := value.Any().(error); ok {
			return slog.String(a.Key, h.redactor.Text(err.Error()))
		}
		return h.other(a.Key, value.Any())
	default:
		if text := value.String(); h.redactor.Text(text) != text {
			return slog.String(a.Key, h.redactor.Text(text))
		}
		return slog.Attr{Key: a.Key, Value: value}
	}
}

// other looks at what a handler may print of a value as well as at its JSON,
// since fields that JSON leaves out are printed.
func (h redactingHandler) other(key string, v any) slog.Attr {
	if text := fmt.Sprintf("%+v", v); h.redactor.Text(text) != text {
		return slog.String(key, h.redactor.Text(text))
	}
	return slog.Any(key, h.redactor.Value(v))
}
