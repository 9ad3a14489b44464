package deviceops

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Limits of what a step gives, in bytes of JSON.
const (
	// MaxInlineOutput is how much of an output goes into the history of its run.
	// What is larger has its largest parts kept in the store.
	MaxInlineOutput = 64 << 10
	// MaxOutput is how large an output may be at all.
	MaxOutput = 8 << 20
)

const (
	// storedKey marks a part of an output that is kept in the store. No output of
	// a device or server may have a field of this name.
	storedKey = "$stored"
	// partSize is about what a reference takes; smaller parts stay where they are.
	partSize = 512
	// maxFields is how many fields a map may have of which single ones are kept.
	maxFields = 256
)

// Stored refers to a part of an output that is kept in the store. In JSON it is
// {"$stored": {...}}, in the place of the part.
type Stored struct {
	Ref    string `json:"ref"`    // output/<sha256>, or command/<id><JSON pointer into its output>
	SHA256 string `json:"sha256"` // of the part as JSON, hex
	Size   int    `json:"size"`   // of the part as JSON, in bytes
	Type   string `json:"type"`   // string, list or map
}

// MarshalJSON implements json.Marshaler.
func (s Stored) MarshalJSON() ([]byte, error) { return json.Marshal(s.Map()) }

// Map gives the reference as decoded JSON has it.
func (s Stored) Map() map[string]any {
	return map[string]any{storedKey: map[string]any{"ref": s.Ref, "sha256": s.SHA256, "size": int64(s.Size), "type": s.Type}}
}

// StoredIn gives the reference that a value is, if it is one: decoded JSON, or a
// value that says so itself.
func StoredIn(v any) (s Stored, ok bool) {
	if own, ok := v.(interface{ Stored() Stored }); ok {
		return own.Stored(), true
	}
	m, _ := v.(map[string]any)
	if len(m) != 1 {
		return s, false
	}
	fields, ok := m[storedKey].(map[string]any)
	if !ok {
		return s, false
	}
	s.Ref, _ = fields["ref"].(string)
	s.SHA256, _ = fields["sha256"].(string)
	s.Type, _ = fields["type"].(string)
	switch size := fields["size"].(type) {
	case int64:
		s.Size = int(size)
	case float64:
		s.Size = int(size)
	case json.Number:
		s.Size, _ = strconv.Atoi(size.String())
	}
	return s, s.Ref != ""
}

// Output is a part of what a step gave, kept for as long as its run is.
type Output struct {
	Run    string // its account is the part's
	SHA256 string // of Data, hex
	Data   []byte // JSON
}

// Outputs keeps what is too large for the history of a run.
type Outputs interface {
	// SaveOutputs stores parts; those that a run has already stay. ENOTFOUND if
	// there is no such run.
	SaveOutputs(ctx context.Context, parts []Output) error

	// CopyOutputs keeps for the run to what is stored of the run from, so that
	// references that it copied outlive that run.
	CopyOutputs(ctx context.Context, from, to string) error

	// FindOutput gives a part that any run of this very account has. ENOTFOUND.
	FindOutput(ctx context.Context, account, sha256 string) ([]byte, error)
}

// Slim gives an output such that its JSON has at most MaxInlineOutput bytes: the
// largest parts of a larger one, as few as possible, are replaced by references
// in their JSON form. Small fields beside large ones stay as they are, so that
// expressions can read them. ref names where a part is to be found again. Kept
// are the parts that were replaced. EEXHAUSTED if the output is larger than
// MaxOutput, EINVALID if it pretends to hold references.
func Slim(output any, ref func(pointer, sha256 string) string) (slim any, kept []Output, err error) {
	return reduce(output, ref, false)
}

// SlimOwn is Slim for what a run put together itself, which may hold references.
func SlimOwn(output any, ref func(pointer, sha256 string) string) (slim any, kept []Output, err error) {
	return reduce(output, ref, true)
}

func reduce(output any, ref func(pointer, sha256 string) string, own bool) (slim any, kept []Output, err error) {
	data, err := json.Marshal(output)
	switch {
	case err != nil:
		return nil, nil, Errorf(EINVALID, "the output is not JSON: %w", err)
	case len(data) > MaxOutput:
		return nil, nil, Errorf(EEXHAUSTED, "the output has %d bytes; at most %d are kept: have the step give less", len(data), MaxOutput)
	case !own && bytes.Contains(data, []byte(`"`+storedKey+`"`)) && pretends(decodeExact(data)):
		return nil, nil, Errorf(EINVALID, "the output has a field %s, which only the engine may write", storedKey)
	case len(data) <= MaxInlineOutput:
		return output, nil, nil
	}
	s := slimmer{ref: ref}
	slim, _ = s.reduce(decodeExact(data), "", MaxInlineOutput)
	return slim, s.kept, nil
}

// pretends reports whether a value has a field that only the engine writes.
func pretends(v any) bool {
	if _, ok := StoredIn(v); ok {
		return true
	}
	switch v := v.(type) {
	case map[string]any:
		if _, ok := v[storedKey]; ok {
			return true
		}
		for _, item := range v {
			if pretends(item) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, pretends)
	}
	return false
}

// StoredSize gives how many bytes the references in a value stand for.
func StoredSize(v any) (size int) {
	if s, ok := StoredIn(v); ok {
		return s.Size
	}
	switch v := v.(type) {
	case map[string]any:
		for _, item := range v {
			size += StoredSize(item)
		}
	case []any:
		for _, item := range v {
			size += StoredSize(item)
		}
	}
	return size
}

// slimmer replaces parts of one output.
type slimmer struct {
	ref  func(pointer, sha256 string) string
	kept []Output
}

// reduce gives v, found at a JSON pointer, in at most room bytes if that can be
// done, and its size.
func (s *slimmer) reduce(v any, pointer string, room int) (any, int) {
	size := jsonSize(v)
	if size <= room || size <= partSize {
		return v, size
	}
	if m, ok := v.(map[string]any); ok && len(m) <= maxFields {
		before := len(s.kept)
		if slim, slimSize := s.reduceMap(m, pointer, size, room); slimSize <= room {
			return slim, slimSize
		}
		s.kept = s.kept[:before]
	}
	return s.keep(v, pointer)
}

// reduceMap replaces what is largest in a map until the rest has room.
func (s *slimmer) reduceMap(m map[string]any, pointer string, size, room int) (map[string]any, int) {
	sizes := make(map[string]int, len(m))
	for name, v := range m {
		sizes[name] = jsonSize(v)
	}
	names := slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		return cmp.Or(cmp.Compare(sizes[b], sizes[a]), strings.Compare(a, b))
	})
	slim := maps.Clone(m)
	for _, name := range names {
		if size <= room || sizes[name] <= partSize {
			break
		}
		part, left := s.reduce(m[name], pointer+"/"+pointerEscaper.Replace(name), room-(size-sizes[name]))
		slim[name] = part
		size += left - sizes[name]
	}
	return slim, size
}

var (
	pointerEscaper   = strings.NewReplacer("~", "~0", "/", "~1")
	pointerUnescaper = strings.NewReplacer("~1", "/", "~0", "~")
)

func (s *slimmer) keep(v any, pointer string) (any, int) {
	data, _ := json.Marshal(v) // it was decoded from JSON
	sum := sha256.Sum256(data)
	hash := hex.EncodeToString(sum[:])
	s.kept = append(s.kept, Output{SHA256: hash, Data: data})
	kind := "string"
	switch v.(type) {
	case map[string]any:
		kind = "map"
	case []any:
		kind = "list"
	}
	reference := Stored{Ref: s.ref(pointer, hash), SHA256: hash, Size: len(data), Type: kind}.Map()
	return reference, jsonSize(reference)
}

func jsonSize(v any) int {
	data, _ := json.Marshal(v)
	return len(data)
}

// OutputRef names a part that is kept as an Output.
func OutputRef(_, sha256 string) string { return "output/" + sha256 }

// CommandRef names parts of the output of a command, which its row has.
func CommandRef(id string) func(pointer, sha256 string) string {
	return func(pointer, _ string) string { return "command/" + id + pointer }
}

// OutputSource is where parts of outputs are found again.
type OutputSource interface {
	FindOutput(ctx context.Context, account, sha256 string) ([]byte, error)
	FindCommand(ctx context.Context, id string) (Command, error)
}

// Whole gives v, of a run of account, with the parts in it that are kept in the
// store. Together they may have limit bytes; v itself is not changed. EEXHAUSTED
// if the parts are larger; ENOTFOUND if one is kept no more.
func Whole(ctx context.Context, from OutputSource, account string, v any, limit int) (any, error) {
	if !pretends(v) {
		return v, nil
	}
	if size := StoredSize(v); size > limit {
		return nil, tooMuch(size - limit)
	}
	w := fetcher{from: from, account: account, left: limit}
	return w.fetch(ctx, v)
}

func tooMuch(over int) error {
	return Errorf(EEXHAUSTED, "the stored outputs that are needed here are too large together, by %d bytes: pass on less", over)
}

// WholeMap is Whole for a map.
func WholeMap(ctx context.Context, from OutputSource, account string, m map[string]any, limit int) (map[string]any, error) {
	v, err := Whole(ctx, from, account, m, limit)
	if err != nil {
		return nil, err
	}
	whole, ok := v.(map[string]any)
	if !ok {
		return nil, Errorf(EINVALID, "the stored output is no map, which is needed here")
	}
	return whole, nil
}

// fetcher finds the parts of one value.
type fetcher struct {
	from    OutputSource
	account string
	left    int // bytes that may still be fetched
}

func (f *fetcher) fetch(ctx context.Context, v any) (_ any, err error) {
	if s, ok := StoredIn(v); ok {
		return f.part(ctx, s)
	}
	switch v := v.(type) {
	case map[string]any:
		whole := make(map[string]any, len(v))
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if whole[name], err = f.fetch(ctx, v[name]); err != nil {
				return nil, err
			}
		}
		return whole, nil
	case []any:
		whole := make([]any, len(v))
		for i, item := range v {
			if whole[i], err = f.fetch(ctx, item); err != nil {
				return nil, err
			}
		}
		return whole, nil
	}
	return v, nil
}

func (f *fetcher) part(ctx context.Context, s Stored) (any, error) {
	if f.left -= s.Size; f.left < 0 {
		return nil, tooMuch(-f.left)
	}
	kind, name, _ := strings.Cut(s.Ref, "/")
	switch kind {
	case "command":
		id, pointer, _ := strings.Cut(name, "/")
		return f.ofCommand(ctx, id, pointer)
	case "output":
		data, err := f.from.FindOutput(ctx, f.account, name)
		if err != nil {
			return nil, err
		}
		return f.fetch(ctx, decodeExact(data)) // what a run put together may refer to more
	}
	return nil, Errorf(EINVALID, "%q refers to no stored output", s.Ref)
}

// ofCommand gives a part of the output of a command of the account.
func (f *fetcher) ofCommand(ctx context.Context, id, pointer string) (any, error) {
	c, err := f.from.FindCommand(ctx, id)
	if err == nil && !AccountWithin(c.Account, f.account) {
		err = Errorf(ENOTFOUND, "account %s has no command %s", f.account, id)
	}
	if err != nil || pointer == "" {
		return c.Output, err
	}
	var v any = c.Output
	for _, name := range strings.Split(pointer, "/") {
		m, _ := v.(map[string]any)
		var ok bool
		if v, ok = m[pointerUnescaper.Replace(name)]; !ok {
			return nil, Errorf(ENOTFOUND, "the output of command %s has nothing at /%s", id, pointer)
		}
	}
	return v, nil
}

// decodeExact decodes JSON that was encoded here, with its whole numbers exact.
func decodeExact(data []byte) any {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var v any
	if decoder.Decode(&v) != nil {
		return nil
	}
	return ExactNumbers(v)
}

// ExactNumbers replaces every json.Number in a decoded value, in place: whole ones
// that fit become int64, others float64.
func ExactNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		if n, err := v.Float64(); err == nil {
			return n
		}
		return v.String() // larger than any number here
	case map[string]any:
		for name, item := range v {
			v[name] = ExactNumbers(item)
		}
	case []any:
		for i, item := range v {
			v[i] = ExactNumbers(item)
		}
	}
	return v
}
