package cli

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/deviceops/deviceops/rehearsal"
)

// The form in which build servers read the outcome of tests.
type (
	junitReport struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Time     string       `xml:"time,attr"` // seconds
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Time     string      `xml:"time,attr"`
		File     string      `xml:"file,attr"`
		Cases    []junitCase `xml:"testcase"`
		took     time.Duration
	}
	junitCase struct {
		Name      string        `xml:"name,attr"`
		ClassName string        `xml:"classname,attr"`
		File      string        `xml:"file,attr"`
		Line      int           `xml:"line,attr"`
		Time      string        `xml:"time,attr"`
		Failure   *junitFailure `xml:"failure"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",cdata"`
	}
)

func writeJUnit(w io.Writer, r rehearsal.Report) error {
	report := junitReport{Tests: len(r.Results), Failures: r.Failed()}
	var took time.Duration
	for _, result := range r.Results {
		report.add(result)
		took += result.Took
	}
	report.Time = seconds(took)
	for i := range report.Suites {
		report.Suites[i].Time = seconds(report.Suites[i].took)
	}
	data, err := xml.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, data)
	return err
}

// add puts a case into the suite of its test, which it begins if it is the first.
func (r *junitReport) add(result rehearsal.Result) {
	last := len(r.Suites) - 1
	if last < 0 || r.Suites[last].Name != result.Test || r.Suites[last].File != result.File {
		r.Suites = append(r.Suites, junitSuite{Name: result.Test, File: result.File})
		last++
	}
	suite := &r.Suites[last]
	one := junitCase{Name: result.Case, ClassName: result.Test, File: result.File, Line: result.Line, Time: seconds(result.Took)}
	if !result.Passed() {
		suite.Failures++
		one.Failure = junitDifferences(result)
	}
	suite.Tests++
	suite.took += result.Took
	suite.Cases = append(suite.Cases, one)
}

func junitDifferences(result rehearsal.Result) *junitFailure {
	texts := make([]string, len(result.Differences))
	for i, d := range result.Differences {
		texts[i] = d.String()
	}
	return &junitFailure{Message: result.Differences[0].Message, Type: result.Differences[0].Code, Text: "\n" + strings.Join(texts, "\n")}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
