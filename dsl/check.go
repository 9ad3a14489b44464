package dsl

import (
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

// Options say what a file is checked against.
type Options struct {
	// Actions are the actions that there are. When there are none, names and
	// arguments of actions are not checked.
	Actions []deviceops.ActionSpec

	// Profile gives a published profile, or nil if there is none. Profiles of
	// the file itself come first. When Profile is nil, profiles outside the file
	// are not checked.
	Profile func(name string) *deviceops.Profile

	// Release, Workflow and Calendar give what there is, or nil if there is
	// none; version 0 of a workflow means the newest. When one of them is nil,
	// what it would give is not checked.
	Release func(ref deviceops.ReleaseRef) *deviceops.Release

	// Trusted says why a release must not be installed any more; nil: all may be.
	Trusted func(*deviceops.Release) error

	Workflow func(name string, version int) *Program
	Calendar func(name string) *deviceops.Calendar

	// Channel gives a published channel, or nil if there is none. Channels of the
	// file itself come first. When Channel is nil, channels outside the file are
	// not checked.
	Channel func(name string) *Channel

	local     map[string]*deviceops.Profile
	calendars map[string]bool                      // of the file
	releases  map[string]*deviceops.ReleaseRequest // of the file, by project@version
	calls     []call
	uses      []channelUse
	ringSizes []int // devices of each ring of a rollout; nil: as its manifest says
}

// profile finds a profile; known is false when nothing can be said about it.
func (o *Options) profile(name string) (p *deviceops.Profile, known bool) {
	if p := o.local[name]; p != nil {
		return p, true
	}
	if o.Profile == nil {
		return nil, false
	}
	return o.Profile(name), true
}

// Compiled is one document of a file that was checked.
type Compiled struct {
	Kind    string
	Name    string
	Version int    // 0 when the server numbers
	Hash    string // hex SHA-256 of Source
	Source  string // canonical
	Line    int    // of the file, from 1
	Offset  int    // lines of the file before Source

	Program *Program           // a workflow without errors
	Profile *deviceops.Profile // a profile without errors

	Automation *Automation // an automation without errors
	Test       *Test       // a test without errors

	Release  *deviceops.ReleaseRequest // a release without errors
	Rollout  *deviceops.RolloutSpec    // a rollout without errors
	Calendar *deviceops.Calendar       // a calendar without errors
	Channel  *Channel                  // a channel without errors
	Route    *Route                    // a route without errors
}

// kind is a kind of document that this version reads.
type kind struct {
	name   string
	read   func(c *checker, out *Compiled)
	schema func() schema
}

// kinds are in the order in which a file is read: workflows may use the file's
// profiles, automations its calendars, rollouts its releases and calendars.
func kinds() []kind {
	return []kind{
		{deviceops.KindProfile, readProfile, profileSchema},
		{deviceops.KindWorkflow, readWorkflow, workflowSchema},
		{deviceops.KindCalendar, readCalendar, calendarSchema},
		{deviceops.KindAutomation, readAutomation, automationSchema},
		{deviceops.KindTest, readTest, testSchema},
		{deviceops.KindChannel, readChannel, channelSchema},
		{deviceops.KindRelease, readRelease, releaseSchema},
		{deviceops.KindRollout, readRollout, rolloutSchema},
		{deviceops.KindRoute, readRoute, routeSchema},
	}
}

func kindNames() []string {
	var names []string
	for _, k := range kinds() {
		names = append(names, k.name)
	}
	return names
}

// CheckFile checks the documents of a file against each other and opts. name is
// used in diagnostics. Documents with errors are in the result too, without
// what they compile to; those whose kind cannot be told are not.
func CheckFile(name, text string, opts Options) ([]Compiled, Diagnostics) {
	src := newSource(name, normalize(text))
	if len(text) > MaxFile {
		src.report(span{1, 1, 2}, "too-large", "split the file", "this file has %d bytes; at most %d are allowed", len(text), MaxFile)
		return nil, src.found
	}
	opts.local, opts.calendars = map[string]*deviceops.Profile{}, map[string]bool{}
	opts.releases = map[string]*deviceops.ReleaseRequest{}
	return checkSource(src, &opts), src.found.sorted()
}

func checkSource(src *source, opts *Options) []Compiled {
	docs := src.split()
	if len(docs) == 0 {
		src.report(span{1, 1, 2}, "empty", "write a document, such as workflow: NAME", "this file holds no document")
	}
	if len(docs) > MaxDocuments {
		src.report(span{1, 1, 2}, "too-large", "split the file", "this file has %d documents; at most %d are allowed", len(docs), MaxDocuments)
		return nil
	}
	compiled := make([]Compiled, len(docs))
	readers := make([]*checker, len(docs))
	for i, d := range docs {
		if d.open() {
			readers[i] = &checker{doc: d, opts: opts}
			compiled[i] = d.header()
		}
	}
	for _, k := range kinds() {
		for i, c := range readers {
			if c != nil && compiled[i].Kind == k.name {
				c.read(k, &compiled[i])
			}
		}
	}
	checkCalls(opts.calls, compiled)
	checkChannels(opts.uses, compiled)
	repeated(src, docs, compiled)
	dropBroken(docs, compiled)
	return withKind(compiled)
}

// read lets a kind read its document. Profiles and releases without errors are
// known to the documents that are read after them.
func (c *checker) read(k kind, out *Compiled) {
	k.read(c, out)
	if out.Profile != nil && !c.doc.hasErrors() {
		c.opts.local[out.Name] = out.Profile
	}
	if out.Release != nil && !c.doc.hasErrors() {
		c.opts.releases[out.Name] = out.Release
	}
}

// dropBroken keeps what documents compile to only if there was no error in them.
func dropBroken(docs []*document, compiled []Compiled) {
	for i, d := range docs {
		if d.hasErrors() {
			compiled[i].Program, compiled[i].Profile = nil, nil
			compiled[i].Automation, compiled[i].Test = nil, nil
			compiled[i].Release, compiled[i].Rollout, compiled[i].Calendar = nil, nil, nil
			compiled[i].Channel = nil
			compiled[i].Route = nil
		}
	}
}

func (d *document) hasErrors() bool {
	last := d.offset + strings.Count(d.text, "\n")
	for _, f := range d.src.found {
		if f.Severity == SeverityError && f.Line > d.offset && f.Line <= last {
			return true
		}
	}
	return false
}

// open parses the document and looks for traps. False means that it cannot be
// read any further.
func (d *document) open() bool {
	if d.text == "" {
		d.src.report(span{d.offset + 1, 1, 4}, "empty", "remove one ---, or write a document, such as workflow: NAME", "this document is empty")
		return false
	}
	if !d.parse() {
		return false
	}
	if d.root.Kind != yaml.MappingNode || len(d.root.Content) == 0 {
		d.src.report(d.at(d.root), "wrong-type", "begin with workflow: NAME or profile: NAME", "a document must be a map, and this is %s", kindOf(d.root))
		return false
	}
	return d.findTraps() && len(d.root.Content) > 0 && d.knownKind()
}

// knownKind checks the first key, which names the kind.
func (d *document) knownKind() bool {
	key := d.root.Content[0]
	switch {
	case contains(kindNames(), key.Value):
		return true
	default:
		d.unknownKind(key)
	}
	return false
}

func (d *document) unknownKind(key *yaml.Node) {
	for i := 2; i < len(d.root.Content); i += 2 {
		if later := d.root.Content[i]; contains(kindNames(), later.Value) {
			d.src.report(d.at(key), "unknown-kind", "move "+later.Value+": to the top", "the first key names the kind, and %q is none", key.Value)
			return
		}
	}
	fix := "begin with workflow: NAME or profile: NAME"
	if near := closest(key.Value, kindNames()); near != "" {
		fix = "write " + near + ":"
	}
	d.src.report(d.at(key), "unknown-kind", fix, "the first key names the kind, and %q is none%s", key.Value, didYouMean(key.Value, kindNames()))
}

func (d *document) header() Compiled {
	return Compiled{
		Kind: d.root.Content[0].Value, Name: d.root.Content[1].Value,
		Hash: d.hash(), Source: d.text, Line: d.root.Line + d.offset, Offset: d.offset,
	}
}

// repeated reports documents of one kind and name in one file.
func repeated(src *source, docs []*document, compiled []Compiled) {
	seen := map[string]int{}
	for i, c := range compiled {
		if c.Kind == "" {
			continue
		}
		id := sprintf("%s %s@%d", c.Kind, c.Name, c.Version)
		if line, twice := seen[id]; twice {
			src.report(docs[i].at(docs[i].root.Content[1]), "duplicate-document", "rename one of them, or give them different versions",
				"there are two documents for %s %s; the first is in line %d", c.Kind, c.Name, line)
		}
		seen[id] = c.Line
	}
}

func withKind(all []Compiled) []Compiled {
	var known []Compiled
	for _, c := range all {
		if c.Kind != "" {
			known = append(known, c)
		}
	}
	return known
}

// Compile compiles the source of one published workflow. It depends on source
// alone and does not ask which actions or profiles there are now, since a run
// goes on with the source that it began with.
func Compile(source string) (*Program, Diagnostics) {
	compiled, found := compileOne(source, deviceops.KindWorkflow)
	return compiled.Program, found
}

// CompileProfile compiles the source of one published profile.
func CompileProfile(source string) (*deviceops.Profile, Diagnostics) {
	compiled, found := compileOne(source, deviceops.KindProfile)
	return compiled.Profile, found
}

func compileOne(text, kind string) (Compiled, Diagnostics) {
	return compileOneOf(kind+".yaml", text, kind, Options{})
}

func compileOneOf(file, text, kind string, opts Options) (Compiled, Diagnostics) {
	compiled, found := CheckFile(file, text, opts)
	if len(compiled) == 1 && compiled[0].Kind == kind {
		return compiled[0], found
	}
	if !found.HasErrors() {
		src := newSource(file, text)
		src.report(span{1, 1, 2}, "unknown-kind", "give the source of one "+kind, "this is not one document of kind %s", kind)
		found = append(found, src.found...)
	}
	return Compiled{}, found
}
