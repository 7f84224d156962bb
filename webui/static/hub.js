/* Sends an upload in pieces, so that a cut costs one piece. Without this script the form goes as a whole. ES5. */
(function () {
  'use strict';
  var form = document.getElementById('upload');
  if (!form || !window.FormData || !window.XMLHttpRequest || !window.JSON || !Blob.prototype.slice) { return; }
  var PIECE = 4 * 1024 * 1024, TRIES = 8;
  var panel = document.getElementById('sending');
  var now = panel.querySelector('.now'), bar = panel.querySelector('progress'), rate = panel.querySelector('.rate');
  var token = form.elements.token.value, english = document.documentElement.lang === 'en';

  function say(chinese, other) { return english ? other : chinese; }
  function size(bytes) { return bytes < 1e6 ? Math.ceil(bytes / 1e3) + ' kB' : bytes < 1e9 ? (bytes / 1e6).toFixed(1) + ' MB' : (bytes / 1e9).toFixed(2) + ' GB'; }
  function ask(method, address, body, done, failed) {
    var request = new XMLHttpRequest();
    request.open(method, address, true);
    request.setRequestHeader('X-Token', token);
    if (body && body.slice && !(body instanceof FormData)) { request.setRequestHeader('Content-Type', 'application/octet-stream'); }
    request.onload = function () {
      var answer = {};
      try { answer = JSON.parse(request.responseText); } catch (error) { answer = {}; }
      if (request.status >= 200 && request.status < 300) { done(answer); } else { failed(request.status, answer); }
    };
    request.onerror = function () { failed(0, {}); };
    request.send(body || null);
  }
  function name(file) { return file.webkitRelativePath || file.name; }

  form.addEventListener('submit', function (event) {
    var files = [], total = 0, sent = 0, began = 0, fresh = 0, index, inputs = [form.elements.files, form.elements.folder];
    inputs.forEach(function (input) { for (index = 0; index < input.files.length; index++) { files.push(input.files[index]); total += input.files[index].size; } });
    if (!files.length) { return; }
    event.preventDefault();
    panel.hidden = false;
    form.querySelector('button[type=submit]').disabled = true;
    window.onbeforeunload = function () { return say('正在上传', 'Upload under way'); };
    began = Date.now();

    function show(file) {
      var seconds = (Date.now() - began) / 1000, speed = fresh / Math.max(seconds, 0.5), left = speed ? (total - sent) / speed : 0;
      now.textContent = name(file);
      bar.max = Math.max(total, 1); bar.value = sent;
      rate.textContent = size(sent) + ' / ' + size(total) + ' · ' + say('每秒 ', '') + size(speed) + say('', ' a second') +
        (left > 1 ? ' · ' + say('还要 ', 'left ') + (left < 90 ? Math.ceil(left) + say(' 秒', ' s') : Math.ceil(left / 60) + say(' 分钟', ' min')) : '');
    }
    function stop(line) {
      window.onbeforeunload = null;
      now.textContent = line || say('网络断了。刷新本页，再选同样的文件，会接着传。', 'The line broke. Reload, choose the same files, and the upload goes on.');
      form.querySelector('button[type=submit]').disabled = false;
    }
    function finish(job) {
      window.onbeforeunload = null;
      now.textContent = say('传完了，开始检查…', 'Sent. Checking…');
      var end = document.createElement('form'), field = document.createElement('input');
      end.method = 'post'; end.action = '/hub/batches/' + job + '/check';
      field.type = 'hidden'; field.name = 'token'; field.value = token;
      end.appendChild(field); document.body.appendChild(end); end.submit();
    }
    function send(job, place, offset, tries) {
      if (place === files.length) { finish(job); return; }
      var file = files[place], base = '/hub/take/' + job, path = encodeURIComponent(name(file));
      show(file);
      if (offset >= file.size && (file.size > 0 || tries < 0)) { send(job, place + 1, null, 0); return; }
      if (offset === null) {
        ask('GET', base + '/have?path=' + path, null, function (answer) {
          var have = Math.min(answer.have, file.size);
          sent += have; send(job, place, have, 0);
        }, again);
        return;
      }
      var piece = file.slice(offset, Math.min(offset + PIECE, file.size));
      ask('POST', base + '/piece?path=' + path + '&offset=' + offset + '&total=' + file.size, piece, function (answer) {
        sent += answer.have - offset; fresh += answer.have - offset;
        send(job, place, answer.have, file.size ? 0 : -1);
      }, again);
      function again(status, answer) {
        if (status === 409) { sent += answer.have - offset; send(job, place, answer.have, tries); return; }
        if (status === 400) { send(job, place + 1, null, 0); return; }
        if (status || tries >= TRIES) { stop(answer.line); return; }
        setTimeout(function () { send(job, place, offset, tries + 1); }, 1000 * Math.pow(1.6, tries));
      }
    }
    var resume = form.getAttribute('data-resume');
    if (resume) { send(resume, 0, null, 0); return; }
    var head = new FormData(), first = files[0];
    ['token', 'bundle', 'title', 'licence'].forEach(function (field) { head.append(field, form.elements[field].value); });
    head.append('name', first.webkitRelativePath ? first.webkitRelativePath.split('/')[0] : files.length === 1 ? first.name : '');
    ask('POST', '/hub/take/begin', head, function (answer) { send(answer.job, 0, null, 0); }, function (status, answer) { stop(answer.line); });
  });
}());
