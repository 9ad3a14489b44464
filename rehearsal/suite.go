package rehearsal

import (
	"slices"
	"strings"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

// Suite is a set of tests with all that they test. It is immutable.
type Suite struct {
	tests       []*dsl.Test
	automations map[string]*dsl.Automation
	workflows   map[string][]*definition // versions by name, the newest last
	profiles    map[string]*deviceops.Profile
	subjects    map[*dsl.Test]subject
	actions     map[string]bool // by name
}

// definition is a workflow and where it is written.
type definition struct {
	*dsl.Program
	version int // as written, else 1
	file    string
	offset  int // lines of the file before the source
	lines   []string
}

// subject is what a test is about: automations, or a workflow.
type subject struct {
	automations []*dsl.Automation
	workflow    *definition
}

// Load compiles files and checks their tests against what they test. Documents of
// one file are known to the others; actions are those that there are. Without
// errors among the diagnostics the suite can run.
func Load(files []deviceops.ApplyFile, actions []deviceops.ActionSpec) (*Suite, dsl.Diagnostics) {
	s := &Suite{
		automations: map[string]*dsl.Automation{}, workflows: map[string][]*definition{},
		profiles: map[string]*deviceops.Profile{}, subjects: map[*dsl.Test]subject{}, actions: map[string]bool{},
	}
	for _, action := range actions {
		s.actions[action.Name] = true
	}
	s.addProfiles(files)
	var found dsl.Diagnostics
	for _, file := range files {
		compiled, diagnostics := dsl.CheckFile(file.Name, file.Source, dsl.Options{Actions: actions, Profile: s.profileLookup(file)})
		found = append(found, diagnostics...)
		for _, c := range compiled {
			found = append(found, s.add(file, c)...)
		}
	}
	for _, versions := range s.workflows {
		slices.SortStableFunc(versions, func(a, b *definition) int { return a.version - b.version })
	}
	if !found.HasErrors() {
		found = append(found, s.check()...)
	}
	return s, found
}

func (s *Suite) addProfiles(files []deviceops.ApplyFile) {
	for _, file := range files {
		compiled, _ := dsl.CheckFile(file.Name, file.Source, dsl.Options{})
		for _, c := range compiled {
			if c.Profile != nil {
				s.profiles[c.Name] = c.Profile
			}
		}
	}
}

// profileLookup gives the lookup for checking a file. Nothing is said of profiles
// outside the files when the file names one that is not among them: it may be
// published all the same.
func (s *Suite) profileLookup(file deviceops.ApplyFile) func(string) *deviceops.Profile {
	unknown := false
	lookup := func(name string) *deviceops.Profile {
		unknown = unknown || s.profiles[name] == nil
		return s.profiles[name]
	}
	dsl.CheckFile(file.Name, file.Source, dsl.Options{Profile: lookup})
	if unknown {
		return nil
	}
	return lookup
}

// add takes a document into the suite, and reports one that another file has too.
func (s *Suite) add(file deviceops.ApplyFile, c dsl.Compiled) dsl.Diagnostics {
	switch {
	case c.Test != nil:
		s.tests = append(s.tests, c.Test)
	case c.Automation != nil:
		if s.automations[c.Name] != nil {
			return again(file, c)
		}
		s.automations[c.Name] = c.Automation
	case c.Program != nil:
		if s.workflow(c.Name, max(c.Version, 1)) != nil {
			return again(file, c)
		}
		s.workflows[c.Name] = append(s.workflows[c.Name], &definition{
			Program: c.Program, version: max(c.Version, 1), file: file.Name, offset: c.Offset, lines: strings.Split(c.Source, "\n"),
		})
	}
	return nil
}

func again(file deviceops.ApplyFile, c dsl.Compiled) dsl.Diagnostics {
	line := strings.Split(file.Source, "\n")[c.Line-1]
	at := dsl.Place{File: file.Name, Line: c.Line, Column: 1, EndColumn: len(line) + 1, Snippet: line}
	return dsl.Diagnostics{at.Diagnostic("duplicate-document", "give one of the files only, or other versions", "another of these files has a %s %s, too", c.Kind, c.Name)}
}

// workflow finds a version of a workflow; version 0 is the newest.
func (s *Suite) workflow(name string, version int) *definition {
	versions := s.workflows[name]
	if version == 0 && len(versions) > 0 {
		return versions[len(versions)-1]
	}
	for _, d := range versions {
		if d.version == version {
			return d
		}
	}
	return nil
}

// Tests gives how many tests and cases there are.
func (s *Suite) Tests() (tests, cases int) {
	for _, t := range s.tests {
		cases += len(t.Cases)
	}
	return len(s.tests), cases
}

// check finds what each test is about, and reports names in it that stand for
// nothing.
func (s *Suite) check() dsl.Diagnostics {
	var found dsl.Diagnostics
	for _, t := range s.tests {
		about, problem := s.subject(t)
		if problem != nil {
			found = append(found, *problem)
			continue
		}
		s.subjects[t] = about
		found = append(found, s.checkCases(t, about)...)
	}
	return found
}

// subject finds what a test is about.
func (s *Suite) subject(t *dsl.Test) (about subject, problem *dsl.Diagnostic) {
	names, workflow := t.Automations, t.Workflow
	own := dsl.Named{Name: t.Name, Place: t.Place}
	switch {
	case workflow != nil || len(names) > 0:
	case s.automations[t.Name] != nil:
		names = []dsl.Named{own}
	case s.workflow(t.Name, 0) != nil:
		workflow = &own
	default:
		d := t.Diagnostic("unknown-subject", "name what is tested: automation: NAME or workflow: NAME, and give its file too",
			"there is no automation and no workflow %q in these files", t.Name)
		return subject{}, &d
	}
	if workflow != nil {
		if about.workflow = s.workflow(workflow.Name, 0); about.workflow == nil {
			d := workflow.Diagnostic("unknown-name", "give the file of the workflow too", "there is no workflow %q in these files", workflow.Name)
			return subject{}, &d
		}
	}
	return s.tested(about, names)
}

func (s *Suite) tested(about subject, names []dsl.Named) (subject, *dsl.Diagnostic) {
	for _, name := range names {
		a := s.automations[name.Name]
		if a == nil {
			d := name.Diagnostic("unknown-name", "give the file of the automation too", "there is no automation %q in these files", name.Name)
			return subject{}, &d
		}
		if a.Ticket == nil && s.workflow(a.Workflow, a.WorkflowVersion) == nil {
			d := name.Diagnostic("unknown-name", "give the file of the workflow too", "the automation %s runs %s, which is not in these files", a.Name, reference(a.Workflow, a.WorkflowVersion))
			return subject{}, &d
		}
		about.automations = append(about.automations, a)
	}
	return about, nil
}
