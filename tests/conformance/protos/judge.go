// Package protos judges our .proto files by the descriptors in Talos' and COSI's generated code.
//
// Ours is a subset written by hand: whatever it names must exist there and agree in everything that decides
// the bytes on the wire, and in the names, which gRPC puts into its paths. What it leaves out is no matter.
package protos

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Verdict is what became of one element of ours: a message, field, enum, value, service or method.
type Verdict struct {
	// Name is the element's full name.
	Name protoreflect.FullName
	// Absent is set when Talos has no such element.
	Absent bool
	// Problem says how the two disagree; empty when they agree.
	Problem string
}

// Compile parses and links all .proto files of a folder, with imports relative to it, as protoc -I does.
func Compile(ctx context.Context, folder fs.FS) ([]protoreflect.FileDescriptor, error) {
	var names []string

	if err := fs.WalkDir(folder, ".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && len(path) > 6 && path[len(path)-6:] == ".proto" {
			names = append(names, path)
		}

		return err
	}); err != nil {
		return nil, err
	}

	if len(names) == 0 {
		return nil, fmt.Errorf("there are no .proto files")
	}

	compiler := protocompile.Compiler{
		Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
			Accessor: func(path string) (io.ReadCloser, error) { return folder.Open(path) },
		}),
	}

	compiled, err := compiler.Compile(ctx, names...)
	if err != nil {
		return nil, err
	}

	files := make([]protoreflect.FileDescriptor, 0, len(compiled))
	for _, file := range compiled {
		files = append(files, file)
	}

	return files, nil
}

// Compare gives one verdict for each element of our files, in their order.
func Compare(ours []protoreflect.FileDescriptor, theirs *protoregistry.Files) []Verdict {
	c := comparison{theirs: theirs}

	for _, file := range ours {
		c.enums(file.Enums())
		c.messages(file.Messages())

		for i := range file.Services().Len() {
			c.service(file.Services().Get(i))
		}
	}

	return c.verdicts
}

type comparison struct {
	theirs   *protoregistry.Files
	verdicts []Verdict
}

func (c *comparison) add(ours protoreflect.Descriptor, problems ...string) {
	verdict := Verdict{Name: ours.FullName()}
	if problems = slices.DeleteFunc(problems, func(p string) bool { return p == "" }); len(problems) > 0 {
		verdict.Problem = problems[0]
	}

	c.verdicts = append(c.verdicts, verdict)
}

func (c *comparison) absent(ours protoreflect.Descriptor, problem string) {
	c.verdicts = append(c.verdicts, Verdict{Name: ours.FullName(), Absent: true, Problem: problem})
}

// find looks up the element of the same name and kind.
func find[D protoreflect.Descriptor](c *comparison, ours D) (D, bool) {
	found, err := c.theirs.FindDescriptorByName(ours.FullName())
	if err != nil {
		c.absent(ours, "Talos has nothing of this name")

		var none D

		return none, false
	}

	theirs, same := found.(D)
	if !same {
		c.add(ours, fmt.Sprintf("Talos has a %T of this name", found))
	}

	return theirs, same
}

func (c *comparison) messages(list protoreflect.MessageDescriptors) {
	for i := range list.Len() {
		ours := list.Get(i)
		if ours.IsMapEntry() {
			continue // judged as part of its field
		}

		theirs, ok := find(c, ours)
		if !ok {
			continue
		}

		c.add(ours, differ("syntax", ours.ParentFile().Syntax(), theirs.ParentFile().Syntax()))

		for j := range ours.Fields().Len() {
			c.field(ours.Fields().Get(j), theirs.Fields())
		}

		c.enums(ours.Enums())
		c.messages(ours.Messages())
	}
}

func (c *comparison) field(ours protoreflect.FieldDescriptor, fields protoreflect.FieldDescriptors) {
	theirs := fields.ByName(ours.Name())
	if theirs == nil {
		if other := fields.ByNumber(ours.Number()); other != nil {
			c.add(ours, fmt.Sprintf("Talos has no field of this name, and its number %d is %s", ours.Number(), other.Name()))
		} else {
			c.absent(ours, "Talos has no field of this name")
		}

		return
	}

	c.add(ours,
		differ("number", ours.Number(), theirs.Number()),
		differ("type", typeOf(ours), typeOf(theirs)),
		differ("label", ours.Cardinality(), theirs.Cardinality()),
		differ("presence", ours.HasPresence(), theirs.HasPresence()),
		differ("packing", ours.IsPacked(), theirs.IsPacked()),
		differ("oneof", oneof(ours), oneof(theirs)),
	)
}

// typeOf is the type as one would write it in a .proto file.
func typeOf(field protoreflect.FieldDescriptor) string {
	switch {
	case field.IsMap():
		return fmt.Sprintf("map<%s, %s>", typeOf(field.MapKey()), typeOf(field.MapValue()))
	case field.Message() != nil:
		return string(field.Message().FullName())
	case field.Enum() != nil:
		return string(field.Enum().FullName())
	default:
		return field.Kind().String()
	}
}

func oneof(field protoreflect.FieldDescriptor) protoreflect.Name {
	if group := field.ContainingOneof(); group != nil && !group.IsSynthetic() {
		return group.Name()
	}

	return ""
}

func (c *comparison) enums(list protoreflect.EnumDescriptors) {
	for i := range list.Len() {
		ours := list.Get(i)

		theirs, ok := find(c, ours)
		if !ok {
			continue
		}

		c.add(ours)

		for j := range ours.Values().Len() {
			value := ours.Values().Get(j)

			switch same, other := theirs.Values().ByName(value.Name()), theirs.Values().ByNumber(value.Number()); {
			case same != nil:
				c.add(value, differ("number", value.Number(), same.Number()))
			case other != nil:
				c.add(value, fmt.Sprintf("Talos has no value of this name, and its number %d is %s", value.Number(), other.Name()))
			default:
				c.absent(value, "Talos has no value of this name")
			}
		}
	}
}

func (c *comparison) service(ours protoreflect.ServiceDescriptor) {
	theirs, ok := find(c, ours)
	if !ok {
		return
	}

	c.add(ours)

	for i := range ours.Methods().Len() {
		method := ours.Methods().Get(i)

		same := theirs.Methods().ByName(method.Name())
		if same == nil {
			c.absent(method, "Talos has no method of this name")

			continue
		}

		c.add(method,
			differ("request", method.Input().FullName(), same.Input().FullName()),
			differ("response", method.Output().FullName(), same.Output().FullName()),
			differ("client streaming", method.IsStreamingClient(), same.IsStreamingClient()),
			differ("server streaming", method.IsStreamingServer(), same.IsStreamingServer()),
		)
	}
}

func differ[T comparable](what string, ours, theirs T) string {
	if ours == theirs {
		return ""
	}

	return fmt.Sprintf("%s: ours %v, Talos' %v", what, ours, theirs)
}
