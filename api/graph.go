package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

// GraphForm is the part of an input that says how to draw.
type GraphForm struct {
	Format string `query:"format" enum:"svg,text" default:"svg"`
	Width  int    `query:"width" minimum:"320" maximum:"4000" default:"760" doc:"Of the SVG, in pixels: branches stand beside one another where there is room"`
}

// picture is an answer that is no JSON.
type picture struct {
	Type   string `header:"Content-Type"`
	Policy string `header:"Content-Security-Policy"`
	Body   []byte
}

// draw gives a graph in the form that was asked for.
func (f GraphForm) draw(g *dsl.Graph) *picture {
	if f.Format == "text" {
		return &picture{Type: "text/plain; charset=utf-8", Body: []byte(g.Text())}
	}
	// Opened by itself, the picture may have its styles and nothing else.
	return &picture{Type: "image/svg+xml", Policy: "default-src 'none'; style-src 'unsafe-inline'", Body: []byte(g.SVG(f.Width))}
}

// drawing registers a route that answers with a picture.
func drawing[I any](s *server, r route, f func(ctx context.Context, p deviceops.Principal, in *I) (*picture, error)) {
	op := r.operation()
	text := &huma.Schema{Type: huma.TypeString}
	op.Responses["200"] = &huma.Response{
		Description: "The picture",
		Content:     map[string]*huma.MediaType{"image/svg+xml": {Schema: text}, "text/plain": {Schema: text}},
	}
	huma.Register(s.huma, op, func(ctx context.Context, in *I) (*picture, error) {
		out, err := f(ctx, principalOf(ctx), in)
		if err != nil {
			return nil, s.problem(ctx, err)
		}
		return out, nil
	})
}

func (s *server) graphRoutes(r runService, d documentService) {
	drawing(s, route{
		id: "draw-run", method: http.MethodGet, path: "/v1/runs/{id}/graph", role: deviceops.RoleViewer,
		summary: "Draw a run: its workflow, and what of it ran",
		about:   "Each step has the color and the symbol of its status.",
	}, r.graph)
	drawing(s, route{
		id: "draw-workflow", method: http.MethodGet, path: "/v1/documents/workflow/{name}/graph", role: deviceops.RoleViewer,
		summary: "Draw a workflow",
	}, d.graph)
}

type runGraph struct {
	RunPath
	GraphForm
}

func (r runService) graph(ctx context.Context, p deviceops.Principal, in *runGraph) (*picture, error) {
	run, err := r.find(ctx, p, in.ID)
	if err != nil {
		return nil, err
	}
	document, err := r.Store.FindDocument(ctx, run.Account, deviceops.KindWorkflow, run.Workflow, run.Version)
	if err != nil {
		return nil, err
	}
	g, err := graphOf(document)
	if err != nil {
		return nil, err
	}
	g.Trace(run, r.Now())
	return in.draw(g), nil
}

type workflowGraph struct {
	GraphForm
	Account string `query:"account" doc:"Whose view. Default: the caller's account"`
	Name    string `path:"name" maxLength:"128"`
	Version int    `query:"version" minimum:"0" doc:"0: the newest"`
}

func (d documentService) graph(ctx context.Context, p deviceops.Principal, in *workflowGraph) (*picture, error) {
	account, err := scope(p, in.Account)
	if err != nil {
		return nil, err
	}
	document, err := d.Store.FindDocument(ctx, account, deviceops.KindWorkflow, in.Name, in.Version)
	if err != nil {
		return nil, err
	}
	g, err := graphOf(document)
	if err != nil {
		return nil, err
	}
	return in.draw(g), nil
}

// graphOf draws a published workflow under the version that it got.
func graphOf(document deviceops.Document) (*dsl.Graph, error) {
	program, found := dsl.Compile(document.Source)
	if err := found.Err(); err != nil {
		return nil, err
	}
	g := program.Graph()
	g.Version = document.Version
	return g, nil
}
