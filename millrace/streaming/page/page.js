// The page: a tile for each stream, what is counted in it, what happened. No library, nothing from elsewhere.
"use strict";

const LAG = 1.5;        // seconds behind the newest picture at which a tile jumps to it
const KEPT = 10;        // seconds of pictures that a tile keeps
const AGAIN = 2000;     // ms from a lost connection to the next try
const SHOWN = 100;      // events
const tiles = new Map();
const byId = id => document.getElementById(id);
const path = name => name.split("/").map(encodeURIComponent).join("/");

// four ways to play a stream; each gives a function that ends it

function byFragments(name, video, lost) {
  const source = new MediaSource();
  const url = URL.createObjectURL(source);
  const line = new WebSocket(new URL(path(name) + "/live", location.href.replace(/^http/, "ws")));
  line.binaryType = "arraybuffer";
  let buffer = null, type = null;
  const waiting = [];
  const next = () => {
    if (!buffer || buffer.updating || source.readyState !== "open") return;
    const ranges = video.buffered;
    if (ranges.length && ranges.start(0) < video.currentTime - KEPT) {
      buffer.remove(0, video.currentTime - KEPT / 2);
    } else if (waiting.length) {
      try { buffer.appendBuffer(waiting.shift()); } catch (error) { line.close(); }
    }
    if (ranges.length) {
      const end = ranges.end(ranges.length - 1), behind = end - video.currentTime;
      if (behind > LAG || video.currentTime < ranges.start(0)) video.currentTime = Math.max(end - 0.1, ranges.start(0));
      if (video.paused) video.play().catch(() => {});
    }
  };
  const begin = () => {
    if (!type || source.readyState !== "open") return;
    if (buffer) {
      try { buffer.changeType(type); } catch (error) { line.close(); }  // it is busy: connect again
      return;
    }
    buffer = source.addSourceBuffer(type);
    buffer.addEventListener("updateend", next);
    next();
  };
  source.addEventListener("sourceopen", begin);
  line.onmessage = message => {
    if (typeof message.data === "string") {
      if (!MediaSource.isTypeSupported(message.data)) return lost(message.data + " cannot be played here");
      type = message.data;
      begin();
    } else {
      waiting.push(message.data);
      next();
    }
  };
  line.onclose = () => lost();
  video.src = url;
  return () => { line.onclose = null; line.close(); URL.revokeObjectURL(url); video.removeAttribute("src"); video.load(); };
}

function byWebrtc(name, video, lost) {
  const peer = new RTCPeerConnection({iceServers: []});
  let place = null, ended = false;
  peer.addTransceiver("video", {direction: "recvonly"});
  peer.ontrack = event => { video.srcObject = new MediaStream([event.track]); video.play().catch(() => {}); };
  peer.onconnectionstatechange = () => { if (["failed", "disconnected"].includes(peer.connectionState)) lost(); };
  const offer = async () => {
    await peer.setLocalDescription(await peer.createOffer());
    const answer = await fetch(path(name) + "/whep",
      {method: "POST", headers: {"Content-Type": "application/sdp"}, body: peer.localDescription.sdp});
    if (answer.status !== 201) throw new Error(await answer.text() || answer.statusText);
    place = answer.headers.get("Location");
    await peer.setRemoteDescription({type: "answer", sdp: await answer.text()});
  };
  offer().catch(error => { if (!ended) lost(error.message); });
  return () => {
    ended = true;
    peer.close();
    video.srcObject = null;
    if (place) fetch(place, {method: "DELETE"}).catch(() => {});
  };
}

function byHls(name, video, lost) {
  if (!video.canPlayType("application/vnd.apple.mpegurl")) { lost("this browser plays no HLS by itself"); return () => {}; }
  video.onerror = () => lost(video.error && video.error.message);
  video.oncanplay = () => video.play().catch(() => {});
  video.src = path(name) + ".m3u8";
  return () => { video.onerror = video.oncanplay = null; video.removeAttribute("src"); video.load(); };
}

// One picture after the other: browsers keep few connections to a server, so a tile may not hold one for itself.
function byPictures(name, canvas, lost) {
  const picture = new Image(), context = canvas.getContext("2d");
  let count = 0;
  const next = () => { picture.src = path(name) + ".jpg?" + count++; };
  picture.onload = () => {
    canvas.width = picture.naturalWidth;
    canvas.height = picture.naturalHeight;
    context.drawImage(picture, 0, 0);
    next();
  };
  picture.onerror = () => lost();
  next();
  return () => { picture.onload = picture.onerror = null; picture.src = ""; };
}

const WAYS = {fragments: byFragments, webrtc: byWebrtc, hls: byHls, pictures: byPictures};

// tiles

function play(tile) {
  stop(tile);
  const way = byId("way").value;
  const screen = document.createElement(way === "pictures" ? "canvas" : "video");
  if (way !== "pictures") { screen.muted = true; screen.autoplay = true; screen.playsInline = true; }
  screen.onclick = () => tile.figure.classList.toggle("large");
  tile.figure.prepend(screen);
  tile.screen = screen;
  const lost = why => {
    tile.note.textContent = why || "connecting again…";
    tile.timer = setTimeout(() => { if (!tile.ended) play(tile); }, AGAIN);
  };
  tile.end = WAYS[way](tile.name, screen, lost);
}

function stop(tile) {
  clearTimeout(tile.timer);
  if (tile.end) tile.end();
  if (tile.screen) tile.screen.remove();
  tile.end = tile.screen = null;
}

function makeTile(name) {
  const figure = document.createElement("figure"), caption = document.createElement("figcaption");
  const title = document.createElement("b"), note = document.createElement("span");
  title.textContent = name;
  caption.append(title, note);
  figure.append(caption);
  byId("tiles").append(figure);
  const tile = {name, figure, note, ended: false, end: null, screen: null, timer: 0};
  tiles.set(name, tile);
  return tile;
}

// what is known

const counted = values =>
  Object.entries(values).filter(([, value]) => typeof value !== "object").map(([name, value]) => name + " " + value).join(", ");

function cell(row, text) {
  const made = document.createElement("td");
  made.textContent = text;
  row.append(made);
}

function show(known) {
  const names = Object.keys(known.streams).sort();
  for (const [name, tile] of tiles) {
    if (!(name in known.streams)) { stop(tile); tile.ended = true; tile.figure.remove(); tiles.delete(name); }
  }
  const rows = [], events = [];
  for (const name of names) {
    const facts = known.streams[name], tile = tiles.get(name) || makeTile(name);
    if (tile.ended !== facts.ended || !tile.screen) {
      tile.ended = facts.ended;
      if (!tile.ended && !tile.screen) play(tile);
    }
    const fps = facts.ended ? "ended" : facts.fps ? facts.fps.toFixed(1) : "";
    tile.note.textContent = facts.ended ? "ended" : counted(facts.objects || {});
    const row = document.createElement("tr");
    cell(row, name);
    cell(row, fps);
    cell(row, counted(facts.objects || {}) || "–");
    cell(row, (facts.rules || []).map(rule => rule.name + ": " + counted(rule.values)).join("; ") || "–");
    rows.push(row);
    for (const event of facts.events || []) events.push({stream: name, ...event});
  }
  byId("streams").tBodies[0].replaceChildren(...rows);
  events.sort((a, b) => b.wall - a.wall);
  byId("events").replaceChildren(...events.slice(0, SHOWN).map(line));
  byId("state").textContent = names.length + (names.length === 1 ? " stream" : " streams");
}

function line(event) {
  const made = document.createElement("li"), when = document.createElement("time");
  when.textContent = new Date(event.wall * 1000).toLocaleTimeString();
  const who = event.label ? event.label + (event.id === undefined ? "" : " " + event.id) : "";
  const parts = [event.stream, event.kind, event.name, event.direction, event.phase, who];
  made.append(when, parts.filter(Boolean).join(" · "));
  return made;
}

const news = new EventSource("news");
news.onmessage = message => show(JSON.parse(message.data));
news.onerror = () => { byId("state").textContent = "the pipeline has ended, or cannot be reached"; };

const asked = new URLSearchParams(location.search).get("way");
byId("way").value = asked in WAYS ? asked : "MediaSource" in window ? "fragments" : "pictures";
byId("way").onchange = () => { for (const tile of tiles.values()) if (!tile.ended) play(tile); };
