package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

// maxApply is how large the body of an apply may be, in bytes.
const maxApply = 32 << 20

func (s *server) applyRoute(d documentService) {
	r := route{
		id: "apply-documents", method: http.MethodPost, path: "/v1/documents:apply", role: deviceops.RoleAuthor, maxBody: maxApply,
		summary: "Publish YAML documents",
		about: "The body is a YAML file of one or more documents, or JSON with several such files. All are published together or, when one is refused, none. " +
			"The same content changes nothing; other content under a published version is refused with a diff. " +
			"Rollouts are checked and skipped. No device is touched.",
	}
	op := r.operation()
	files := s.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[deviceops.ApplyRequest](), true, "")
	op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: files}}}
	op.SkipValidateBody = true // it is YAML, or checked by files
	register(s, op, d.apply)
}

type applyInput struct {
	Reasoned
	Account     string `query:"account" doc:"Where to publish. Default: the caller's account"`
	DryRun      bool   `query:"dry_run" doc:"Tell what would happen and publish nothing"`
	File        string `query:"file" doc:"Name of a YAML body, for diagnostics" default:"documents.yaml"`
	ContentType string `header:"Content-Type" doc:"application/yaml, or application/json for several files"`
	RawBody     []byte `contentType:"application/yaml"`
}

// files gives what is to be published.
func (in *applyInput) files() ([]deviceops.ApplyFile, error) {
	if kind, _, _ := mime.ParseMediaType(in.ContentType); kind != "application/json" {
		return []deviceops.ApplyFile{{Name: in.File, Source: string(in.RawBody)}}, nil
	}
	var request deviceops.ApplyRequest
	if err := json.Unmarshal(in.RawBody, &request); err != nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "the body is not JSON with files: %w", err)
	}
	return request.Files, nil
}

func (d documentService) apply(ctx context.Context, p deviceops.Principal, in *applyInput) (deviceops.ApplyReport, error) {
	account, err := scope(p, in.Account)
	if err != nil {
		return deviceops.ApplyReport{}, err
	}
	files, err := in.files()
	if err != nil {
		return deviceops.ApplyReport{}, err
	}
	docs, err := d.check(ctx, account, files)
	if err != nil {
		return deviceops.ApplyReport{}, err
	}
	a := application{core: d.core, principal: p, account: account, reason: in.Reason, dryRun: in.DryRun, docs: docs}
	switch err := d.Store.InTx(ctx, a.inTx); {
	case errors.Is(err, errNotPublished):
	case err != nil:
		return deviceops.ApplyReport{}, err
	default:
		d.settleAll(ctx, account, docs)
	}
	return a.report, nil
}

// checkedDocument is a document of the request with what is to be said of it.
type checkedDocument struct {
	dsl.Compiled
	file  string
	found dsl.Diagnostics
}

// check compiles the files, each against the documents of the others and those
// that are published.
func (d documentService) check(ctx context.Context, account string, files []deviceops.ApplyFile) ([]checkedDocument, error) {
	published := &dsl.Published{Catalog: d.Catalog, Store: d.Store, Account: account, Actions: d.Actions}
	for _, file := range files {
		compiled, _ := dsl.CheckFile(file.Name, file.Source, dsl.Options{})
		published.Given = append(published.Given, compiled...)
	}
	options := published.Options(ctx)
	var docs []checkedDocument
	for _, file := range files {
		docs = append(docs, checkFile(file, options)...)
	}
	return docs, published.Failed()
}

// checkFile hands each document its diagnostics. Those about no document come
// as a document without kind.
func checkFile(file deviceops.ApplyFile, options dsl.Options) []checkedDocument {
	compiled, found := dsl.CheckFile(file.Name, file.Source, options)
	docs := make([]checkedDocument, 0, len(compiled)+1)
	for _, c := range compiled {
		docs = append(docs, checkedDocument{Compiled: c, file: file.Name})
	}
	others := checkedDocument{file: file.Name}
	for _, diagnostic := range found {
		if i := documentAt(docs, diagnostic.Line); i >= 0 {
			docs[i].found = append(docs[i].found, diagnostic)
		} else {
			others.found = append(others.found, diagnostic)
		}
	}
	if len(others.found) > 0 {
		docs = append(docs, others)
	}
	return docs
}

// documentAt gives the document that a line of the file belongs to, or -1.
func documentAt(docs []checkedDocument, line int) int {
	at := -1
	for i, d := range docs {
		if d.Line <= line {
			at = i
		}
	}
	return at
}

// errNotPublished rolls an application back that was refused or only asked for.
var errNotPublished = errors.New("not published")

// application publishes the documents of one request.
type application struct {
	*core
	principal deviceops.Principal
	account   string
	reason    string
	dryRun    bool
	docs      []checkedDocument
	report    deviceops.ApplyReport
}

func (a *application) inTx(ctx context.Context, tx deviceops.Tx) error {
	a.report = deviceops.ApplyReport{DryRun: a.dryRun, Documents: []deviceops.DocumentReport{}}
	for _, d := range a.docs {
		outcome, err := a.publish(ctx, tx, d)
		if err != nil {
			return err
		}
		a.report.Documents = append(a.report.Documents, outcome)
		a.report.Refused = a.report.Refused || outcome.Outcome == deviceops.DocumentRefused
	}
	if a.report.Refused {
		a.hold()
	}
	if a.report.Refused || a.dryRun {
		return errNotPublished
	}
	return nil
}

// hold says of the documents that would have been created that they were not.
func (a *application) hold() {
	for i := range a.report.Documents {
		if a.report.Documents[i].Outcome == deviceops.DocumentCreated {
			a.report.Documents[i].Outcome = deviceops.DocumentHeld
		}
	}
}

func (a *application) publish(ctx context.Context, tx deviceops.Tx, d checkedDocument) (deviceops.DocumentReport, error) {
	report := deviceops.DocumentReport{File: d.file, Kind: d.Kind, Name: d.Name, Version: d.Version, Diagnostics: texts(d.found)}
	if d.found.HasErrors() {
		report.Outcome = deviceops.DocumentRefused
		return report, nil
	}
	switch d.Kind {
	case deviceops.KindRelease:
		return a.createRelease(ctx, tx, d, report)
	case deviceops.KindRollout:
		report.Diagnostics = append(report.Diagnostics, notStarted(d))
		report.Outcome = deviceops.DocumentSkipped
		return report, nil
	}
	stored, created, err := tx.PublishDocument(ctx, deviceops.Document{
		Account: a.account, Kind: d.Kind, Name: d.Name, Version: d.Version, Hash: d.Hash, Source: d.Source,
		PublishedAt: a.Now(), PublishedBy: a.principal.Name, Reason: a.reason,
	})
	switch {
	case deviceops.ErrorCode(err) == deviceops.ECONFLICT:
		return a.refuse(ctx, tx, d, report, err)
	case err != nil:
		return report, err
	}
	report.Version, report.Outcome = stored.Version, deviceops.DocumentUnchanged
	if err := a.openRoute(ctx, tx, d); err != nil {
		return report, err
	}
	if !created {
		return report, nil
	}
	report.Outcome = deviceops.DocumentCreated
	return report, tx.AppendAudit(ctx, a.entry(a.principal, change{
		account: a.account, action: "document.publish", target: fmt.Sprintf("%s:%s@%d", d.Kind, d.Name, stored.Version), reason: a.reason,
		evidence: map[string]any{"hash": stored.Hash},
	}))
}

// createRelease creates the release that a document describes.
func (a *application) createRelease(ctx context.Context, tx deviceops.Tx, d checkedDocument, report deviceops.DocumentReport) (deviceops.DocumentReport, error) {
	created, err := a.createIn(ctx, tx, a.principal, a.account, *d.Release, a.reason)
	switch deviceops.ErrorCode(err) {
	case "":
		report.Outcome = deviceops.DocumentCreated
		if created.Outcome == deviceops.ReleaseUnchanged {
			report.Outcome = deviceops.DocumentUnchanged
		}
		return report, nil
	case deviceops.EINVALID, deviceops.EFORBIDDEN, deviceops.ECONFLICT:
		report.Outcome = deviceops.DocumentRefused
		report.Diagnostics = append(report.Diagnostics, refusal(d, "release-refused", deviceops.ErrorMessage(err)))
		return report, nil
	default:
		return report, err
	}
}

// refusal says why a document without mistakes was refused.
func refusal(d checkedDocument, code, message string) deviceops.DiagnosticText {
	return deviceops.DiagnosticText{
		File: d.file, Line: d.Line, Column: 1, Severity: string(dsl.SeverityError), Code: code, Message: message, Text: message + "\n",
	}
}

// notStarted says of a rollout that it was checked and that nothing begins.
func notStarted(d checkedDocument) deviceops.DiagnosticText {
	return d.warning("not-started",
		fmt.Sprintf("rollouts are started by `deviceops rollout create %s`: apply never touches a device", d.file))
}

// warning makes a diagnostic about a document as a whole.
func (d checkedDocument) warning(code, message string) deviceops.DiagnosticText {
	return deviceops.DiagnosticText{
		File: d.file, Line: d.Line, Column: 1, Severity: string(dsl.SeverityWarning), Code: code, Message: message,
		Text: fmt.Sprintf("%s:%d:1: %s: %s\n", d.file, d.Line, dsl.SeverityWarning, message),
	}
}

// refuse shows what differs from the version that is published.
func (a *application) refuse(ctx context.Context, tx deviceops.Tx, d checkedDocument, report deviceops.DocumentReport, cause error) (deviceops.DocumentReport, error) {
	report.Outcome = deviceops.DocumentRefused
	report.Diagnostics = append(report.Diagnostics, refusal(d, "version-conflict", deviceops.ErrorMessage(cause)))
	published, err := tx.FindDocument(ctx, a.account, d.Kind, d.Name, d.Version)
	switch {
	case deviceops.ErrorCode(err) == deviceops.ENOTFOUND, err == nil && published.Account != a.account:
		return report, nil
	case err != nil:
		return report, err
	}
	report.Diff = diffLines(published.Source, d.Source)
	return report, nil
}

func texts(ds dsl.Diagnostics) []deviceops.DiagnosticText {
	var out []deviceops.DiagnosticText
	for _, d := range ds {
		out = append(out, deviceops.DiagnosticText{
			File: d.File, Line: d.Line, Column: d.Column, Severity: string(d.Severity), Code: d.Code, Message: d.Message, Text: d.String(),
		})
	}
	return out
}
