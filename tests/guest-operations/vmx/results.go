package vmx

import (
	"encoding/xml"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// A Process as a guest lists it.
type Process struct {
	Command string `xml:"cmd"`
	Line    string `xml:"name"`
	PID     int64  `xml:"pid"`
	User    string `xml:"user"`
	Start   int64  `xml:"start"`
	Code    int32  `xml:"eCode"`
	End     int64  `xml:"eTime"`
}

// A File as a guest lists it.
type File struct {
	Name     string `xml:"Name"`
	Kind     int    `xml:"ft"`
	Size     int64  `xml:"fs"`
	Modified int64  `xml:"mt"`
	Accessed int64  `xml:"at"`
	Owner    int32  `xml:"uid"`
	Group    int32  `xml:"gid"`
	Mode     int64  `xml:"perm"`
	Target   string `xml:"slt"`
}

// Whether it is a folder.
func (f File) IsFolder() bool {
	return f.Kind&1 != 0
}

func number(result []byte) (int64, error) {
	return strconv.ParseInt(string(result), 10, 64)
}

var page = regexp.MustCompile(`^(?:<key>(\d+)</key><totalSize>(\d+)</totalSize>)?<leftToSend>(\d+)</leftToSend>`)

// processes puts the pages together: the first says how long the whole is, if there are more of them.
func processes(ask func(key, offset uint32) ([]byte, error)) ([]Process, error) {
	result, err := ask(0, 0)
	if err != nil {
		return nil, err
	}

	text := string(result)

	if match := page.FindStringSubmatch(text); match != nil {
		key, _ := strconv.ParseUint(match[1], 10, 32)
		total, _ := strconv.Atoi(match[2])
		left, _ := strconv.Atoi(match[3])
		whole := text[len(match[0]):]

		for left > 0 {
			result, err := ask(uint32(key), uint32(len(whole)))
			if err != nil {
				return nil, err
			}

			match := page.FindStringSubmatch(string(result))
			if match == nil || match[1] != "" {
				return nil, fmt.Errorf("a page without its prefix: %.80q", result)
			}

			before := left
			whole += string(result[len(match[0]):])

			if left, _ = strconv.Atoi(match[3]); left >= before {
				return nil, fmt.Errorf("%d bytes left after %d", left, before)
			}
		}

		// The NUL at the end of the whole is counted, and taken off with the last page.
		if len(whole)+1 != total {
			return nil, fmt.Errorf("%d bytes of %d", len(whole), total)
		}

		text = whole
	}

	var list struct {
		Processes []Process `xml:"proc"`
	}

	if err := parse(text, &list, "proc"); err != nil {
		return nil, err
	}

	for i := range list.Processes {
		process := &list.Processes[i]
		if err := unescape(&process.Command, &process.Line, &process.User); err != nil {
			return nil, err
		}
	}

	return list.Processes, nil
}

func variables(result []byte) ([]string, error) {
	var list struct {
		Variables []string `xml:"ev"`
	}

	if err := parse(string(result), &list, "ev"); err != nil {
		return nil, err
	}

	for i := range list.Variables {
		if err := unescape(&list.Variables[i]); err != nil {
			return nil, err
		}
	}

	return list.Variables, nil
}

var remaining = regexp.MustCompile(`^([01]) <rem>(\d+)</rem>`)

// files puts the replies together: one that says 1 has not held all that was asked for.
func files(ask func(offset uint64) ([]byte, error)) ([]File, int, error) {
	var all []File

	for {
		result, err := ask(uint64(len(all)))
		if err != nil {
			return nil, 0, err
		}

		match := remaining.FindStringSubmatch(string(result))
		if match == nil {
			return nil, 0, fmt.Errorf("a list without its prefix: %.80q", result)
		}

		some, err := fileList(string(result[len(match[0]):]))
		if err != nil {
			return nil, 0, err
		}

		all = append(all, some...)

		if match[1] == "0" {
			rest, err := strconv.Atoi(match[2])

			return all, rest, err
		}

		if len(some) == 0 {
			return nil, 0, fmt.Errorf("a reply that holds nothing says that more follows")
		}
	}
}

func oneFile(result []byte) (File, error) {
	list, err := fileList(string(result))
	if err != nil {
		return File{}, err
	}

	if len(list) != 1 {
		return File{}, fmt.Errorf("%d files: %.80q", len(list), result)
	}

	return list[0], nil
}

func fileList(text string) ([]File, error) {
	var list struct {
		Files []File `xml:"fxi"`
	}

	if err := parse(text, &list, "fxi"); err != nil {
		return nil, err
	}

	for i := range list.Files {
		if err := unescape(&list.Files[i].Name, &list.Files[i].Target); err != nil {
			return nil, err
		}
	}

	return list.Files, nil
}

// parse reads a sequence of elements of this name, between which nothing stands.
func parse(text string, into any, element string) error {
	outside := regexp.MustCompile(`(?s)<`+element+`>.*?</`+element+`>`).ReplaceAllString(text, "")
	if outside != "" {
		return fmt.Errorf("this is in no <%s>: %.80q", element, outside)
	}

	return xml.Unmarshal([]byte("<list>"+text+"</list>"), into)
}

var escape = regexp.MustCompile(`%(22|25|26|27|3C|3E)`)

// unescape takes back `%` and two digits, which stand for six characters and no others.
func unescape(texts ...*string) error {
	for _, text := range texts {
		if strings.Contains(escape.ReplaceAllString(*text, ""), "%") || strings.ContainsAny(*text, `"&'<>`) {
			return fmt.Errorf("not escaped as it should be: %q", *text)
		}

		plain, err := url.PathUnescape(*text)
		if err != nil {
			return err
		}

		*text = plain
	}

	return nil
}
