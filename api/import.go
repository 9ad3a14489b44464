package api

import (
	"context"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/deviceops/deviceops"
)

type importService struct{ *core }

// MaxImport is how large an import may be, in bytes; more travels in several.
const MaxImport = 256 << 20

// importChunk is how many rows one transaction of an import takes.
const importChunk = 1000

func (s *server) importRoutes(i importService) {
	r := route{
		id: "import-devices", method: http.MethodPost, path: "/v1/devices:import", role: deviceops.RoleOperator,
		summary: "Register many devices out of a CSV or NDJSON stream",
		about: "CSV has a header line with columns out of id, serial, profile, account, claim, parent, tags (separated by ;), labels.NAME, attributes.NAME, zone, latitude, longitude. " +
			"NDJSON has one registration per line, as for registering one device. Good rows are kept, bad ones reported with their line; running an import again changes nothing.",
	}
	op := r.operation()
	text := &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
	op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"text/csv": text, "application/x-ndjson": text}}
	register(s, op, i.run)
}

// importInput keeps the body a stream: an import may be larger than memory
// should hold.
type importInput struct {
	Reasoned
	ContentType string `header:"Content-Type" doc:"text/csv or application/x-ndjson"`
	body        io.Reader
}

// Resolve implements huma.Resolver.
func (in *importInput) Resolve(ctx huma.Context) []error {
	_ = ctx.SetReadDeadline(time.Time{}) // a large file over a thin line takes its time
	in.body = ctx.BodyReader()
	return nil
}

// row is one row of an import: a request, or why there is none.
type row struct {
	line    int
	request deviceops.RegisterRequest
	bad     error
}

// rowReader gives row by row, io.EOF after the last. Any other error ends the
// import.
type rowReader interface {
	next() (row, error)
}

func (i importService) run(ctx context.Context, p deviceops.Principal, in *importInput) (deviceops.ImportReport, error) {
	reader, err := rowsOf(in.ContentType, http.MaxBytesReader(nil, io.NopCloser(in.body), MaxImport))
	if err != nil {
		return deviceops.ImportReport{}, err
	}
	prepare, err := i.registrar(ctx, p)
	if err != nil {
		return deviceops.ImportReport{}, err
	}
	job := newImportJob(i, p, in.Reason, prepare)
	err = job.all(ctx, reader)
	return job.report, err
}

func rowsOf(contentType string, body io.Reader) (rowReader, error) {
	kind, _, _ := mime.ParseMediaType(contentType)
	switch kind {
	case "text/csv":
		return newCSVRows(body)
	case "application/x-ndjson", "application/ndjson", "application/jsonl":
		return newNDJSONRows(body), nil
	default:
		return nil, deviceops.Errorf(deviceops.EINVALID, "Content-Type %q: send text/csv or application/x-ndjson", contentType)
	}
}
