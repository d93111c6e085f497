// Go's net/http.
package main

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
)

func main() {
	data, err := os.ReadFile(os.Args[3])
	check(err)
	kind := "image/jpeg"
	var body io.Reader = bytes.NewReader(data)
	switch os.Args[1] {
	case "raw", "large":
	case "chunked":
		body = io.MultiReader(body)
	case "form":
		written := &bytes.Buffer{}
		form := multipart.NewWriter(written)
		part, err := form.CreateFormFile("file", "photo.jpg")
		check(err)
		_, err = part.Write(data)
		check(err)
		check(form.Close())
		kind, body = form.FormDataContentType(), written
	default:
		fmt.Println(3) // `go run` keeps exit codes to itself
		return
	}
	answer, err := http.Post(os.Args[2], kind, body)
	check(err)
	text, err := io.ReadAll(answer.Body)
	check(err)
	fmt.Printf("%s\n%d\n", text, answer.StatusCode)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
