PRAGMA user_version = 0;
BEGIN TRANSACTION;
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY NOT NULL,
    at_us INTEGER NOT NULL,
    who TEXT NOT NULL,
    address TEXT NOT NULL,
    request_id TEXT NOT NULL,
    action TEXT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    note TEXT NOT NULL,
    hash BLOB NOT NULL
) STRICT;
INSERT INTO "audit" VALUES(1,1795804651557783,'user:admin','127.0.0.1','req_x29bpr9m1tj7r02fg1r3v2rept','create','team','core','','{"name":"Core","description":"who keeps it running"}','',X'7471448214106A56566C33075D79E14F096DD0BFC4C4A5C8B03E475E5ACF13EE');
INSERT INTO "audit" VALUES(2,1795804651560070,'user:admin','127.0.0.1','req_mgce9t8akq1phd6n7saq87pbs2','create','user','ana','','{"email":"ana@example.com","name":"Ana","state":"active"}','',X'95B8656B13219850449C68628D1D2D69701776CAE60AFE2F52AC04CD9C9410BF');
INSERT INTO "audit" VALUES(3,1795804651580539,'user:admin','127.0.0.1','req_1vk92m5n4bg9qb0vm1zakfrekp','create','membership','ana-core','','{"user":"ana","team":"core","role":"admin"}','',X'3F3F5A27A593C4BBFDBAD23A3DFF93E074BEAC0B920C2D46CE4BF11CBE2A119D');
INSERT INTO "audit" VALUES(4,1795804651582330,'user:admin','127.0.0.1','req_173ms643vz024fnqs88zyxhemt','create','application','shop','','{"name":"Shop","team":"core"}','',X'2A39B2D0BF0B57A1701C46CF11E9C4A3916EBC12DC5722B8F99B4C66F3562AF2');
INSERT INTO "audit" VALUES(5,1795804651584084,'user:admin','127.0.0.1','req_sdehmebfk9pe0t9021mdq78fhg','create','key','shop-1','','{"models":["*"],"application":"shop","state":"active","hint":"0000"}','',X'E1E56FCF054F175978E9B336E810CF731F142D1078E87F8132B84AC5554B79DC');
INSERT INTO "audit" VALUES(6,1795804651585622,'user:admin','127.0.0.1','req_xad5cn5n61k8dng53n6jq2pxsp','create','provider','p','','{"dialect":"openai","base_url":"https://api.example.com/v1","credential":[{"id":"one","secret":"****te-1","priority":1}],"allow_private_address":false}','',X'1CDFA73049D0B3024B05E59403819BE3CC03084D1E7BA4EE64B1AF973DC030AF');
INSERT INTO "audit" VALUES(7,1795804651590945,'user:admin','127.0.0.1','req_crzmzm6pnvkve3fz78yqkmk765','create','model','m','','{"targets":[{"provider":"sim","model":"echo","weight":1,"priority":1}]}','',X'78DBEFC0DE8F0C814FDF3AE2FC77413C4592C54C3B9DA65E099186B2DAE0A83F');
INSERT INTO "audit" VALUES(8,1795804651593575,'user:admin','127.0.0.1','req_jh7mmmvwngdf0d0t3ekkj84ew2','patch','team','core','{"name":"Core","description":"who keeps it running"}','{"name":"Core","description":"second"}','',X'F98C5A60B56C0E39CA57002ADB400F54DC3762E239509F7DA10E9F8400533648');
INSERT INTO "audit" VALUES(9,1795804651596499,'user:admin','127.0.0.1','req_51s1f3ms1eacyd8cf73dwa5gq1','create','team','gone','','{"name":"Gone"}','',X'427ABE596E863E126664389AB99A644745DC1892292C9BD85157CBFF57CDB5B2');
INSERT INTO "audit" VALUES(10,1795804651597858,'user:admin','127.0.0.1','req_fr25mkr314zfb7ndg2eag7qdyh','delete','team','gone','{"name":"Gone"}','','unconditional',X'E5325AC65D44A2E1288C83EF59461C0659C43B2EE8E22CA85828BBF50E650279');
INSERT INTO "audit" VALUES(11,1795804651599279,'user:admin','127.0.0.1','req_bw59h6nasegj2qzr1299e6h4j4','create','team','kept','','{"name":"Kept"}','',X'30EB3D3A5AE7D5F98DF13AAC4F4412CEE75E27AEE7DD5201D62AD74FB656E892');
CREATE TABLE call_note (
    name BLOB PRIMARY KEY NOT NULL,
    payload BLOB NOT NULL,
    owner TEXT NOT NULL,
    call TEXT NOT NULL,
    holder TEXT NOT NULL,
    state INTEGER NOT NULL,
    begun_us INTEGER NOT NULL,
    expires_us INTEGER NOT NULL,
    type TEXT NOT NULL,
    lines TEXT NOT NULL,
    origin TEXT NOT NULL,
    body BLOB
) STRICT;
CREATE TABLE change (
    seq INTEGER PRIMARY KEY NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    action TEXT NOT NULL,
    who TEXT NOT NULL,
    at_us INTEGER NOT NULL
) STRICT;
INSERT INTO "change" VALUES(1,'settings','org',1,'create','system',1795804651552352);
INSERT INTO "change" VALUES(2,'user','admin',1,'create','system',1795804651552777);
INSERT INTO "change" VALUES(3,'token','admin-env',1,'create','system',1795804651553210);
INSERT INTO "change" VALUES(4,'provider','sim',1,'create','built-in',1795804651554025);
INSERT INTO "change" VALUES(5,'key','first',1,'create','file:keys.jsonl',1795804651554224);
INSERT INTO "change" VALUES(6,'team','core',1,'create','user:admin',1795804651557783);
INSERT INTO "change" VALUES(7,'user','ana',1,'create','user:admin',1795804651560070);
INSERT INTO "change" VALUES(8,'membership','ana-core',1,'create','user:admin',1795804651580539);
INSERT INTO "change" VALUES(9,'application','shop',1,'create','user:admin',1795804651582330);
INSERT INTO "change" VALUES(10,'key','shop-1',1,'create','user:admin',1795804651584084);
INSERT INTO "change" VALUES(11,'provider','p',1,'create','user:admin',1795804651585622);
INSERT INTO "change" VALUES(12,'model','m',1,'create','user:admin',1795804651590945);
INSERT INTO "change" VALUES(13,'team','core',2,'patch','user:admin',1795804651593575);
INSERT INTO "change" VALUES(14,'team','gone',1,'create','user:admin',1795804651596499);
INSERT INTO "change" VALUES(15,'team','gone',2,'delete','user:admin',1795804651597858);
INSERT INTO "change" VALUES(16,'team','kept',1,'create','user:admin',1795804651599279);
INSERT INTO "change" VALUES(17,'provider','sim',2,'declare','built-in',1795819402731208);
CREATE TABLE conflict (
    id TEXT PRIMARY KEY NOT NULL,
    at_us INTEGER NOT NULL,
    who TEXT NOT NULL,
    kind TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    code TEXT NOT NULL,
    fields TEXT NOT NULL,
    document TEXT NOT NULL,
    retry_count INTEGER NOT NULL
) STRICT;
INSERT INTO "conflict" VALUES('cf_s045zj30b9nb3emfajce',1795804651595343,'user:admin','team','core','precondition_failed','[]','{"type":"http://127.0.0.1:44851/problems/precondition-failed","title":"The condition is not true any more","status":412,"detail":"If-Match does not name the present state: user:admin made revision 2.","instance":"/api/v1/conflicts/cf_s045zj30b9nb3emfajce","error":"Precondition Failed","message":"If-Match does not name the present state: user:admin made revision 2.","path":"/api/v1/teams/core","code":"precondition_failed","request_id":"req_gvz03ggbr0r5mazgbkscqr2sez","resource":{"kind":"team","id":"core","href":"/api/v1/teams/core"},"current":{"revision":2,"etag":"\"2-da38f39d\"","changed_by":"user:admin","changed_at":"2026-11-27T18:37:31.593575Z"},"resolutions":[{"rel":"take-theirs","method":"GET","href":"/api/v1/teams/core"}],"retry":{"class":"after-refetch","after_ms":0}}',0);
CREATE TABLE digest (
    digest BLOB PRIMARY KEY NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    expires_us INTEGER NOT NULL,
    FOREIGN KEY (kind, id) REFERENCES resource (kind, id) ON DELETE CASCADE
) STRICT;
INSERT INTO "digest" VALUES(X'047289AB2AE8A9B3B146CFAB92F4DBC033513262A10AF89069B673A22EF67877','user','admin',1796409451552338);
INSERT INTO "digest" VALUES(X'574E6044E4D22C37F05934178D08C41471F8374EF0461D8FD217C6102A40E499','token','admin-env',0);
INSERT INTO "digest" VALUES(X'FC950A79BD9E758C6B1D7F5C2FB28B09445582952F08598515272F31F5152590','key','shop-1',0);
CREATE TABLE fact (
    name TEXT PRIMARY KEY NOT NULL,
    value BLOB NOT NULL
) STRICT;
INSERT INTO "fact" VALUES('master',X'01F64B6DAC279B2F7A656EB95CBDA9612CA32972E4CD3D12E9A7A65BC3F81685B187341706280013B8FE1223D8422E');
CREATE TABLE idempotent (
    scope TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    status INTEGER NOT NULL,
    fields TEXT NOT NULL,
    body TEXT NOT NULL,
    at_us INTEGER NOT NULL,
    expires_us INTEGER NOT NULL,
    PRIMARY KEY (scope, idempotency_key)
) STRICT;
INSERT INTO "idempotent" VALUES('user:admin
POST
/api/v1/teams','an-old-key',X'8307E5C13AB5A9E49024B77CCF22391FB58B8D727303BBFD600C57A5D879B944',201,'etag: "1-8b1f8d47"
location: /api/v1/teams/kept
','{"id":"kept","name":"Kept","revision":1,"etag":"\"1-8b1f8d47\"","created_at":"2026-11-27T18:37:31.599279Z","created_by":"user:admin","updated_at":"2026-11-27T18:37:31.599279Z","updated_by":"user:admin"}',1795804651599279,4102444800000000);
CREATE TABLE kept_response (
    id TEXT NOT NULL,
    owner TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    expires_us INTEGER NOT NULL,
    items TEXT NOT NULL,
    input TEXT NOT NULL,
    response TEXT NOT NULL,
    PRIMARY KEY (owner, id)
) STRICT;
INSERT INTO "kept_response" VALUES('resp_of_old','shop-1',1795804652000000,32503680000000000,'[{"type":"message","role":"user","content":"Hi"},{"type":"message","id":"msg_of_old","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hello!","annotations":[]}]}]','[{"type":"message","role":"user","content":"Hi"}]','{"id":"resp_of_old","object":"response","created_at":1795804652,"status":"completed","model":"m","output":[{"type":"message","id":"msg_of_old","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hello!","annotations":[]}]}],"usage":null}');
CREATE TABLE lease (
    name TEXT NOT NULL,
    holder TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    expires_us INTEGER NOT NULL,
    PRIMARY KEY (name)
) STRICT;
CREATE TABLE reference (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    pointer TEXT NOT NULL,
    to_kind TEXT NOT NULL,
    to_id TEXT NOT NULL,
    PRIMARY KEY (kind, id, pointer),
    FOREIGN KEY (kind, id) REFERENCES resource (kind, id) ON DELETE CASCADE,
    FOREIGN KEY (to_kind, to_id) REFERENCES resource (kind, id)
) STRICT;
INSERT INTO "reference" VALUES('token','admin-env','/user','user','admin');
INSERT INTO "reference" VALUES('membership','ana-core','/user','user','ana');
INSERT INTO "reference" VALUES('membership','ana-core','/team','team','core');
INSERT INTO "reference" VALUES('application','shop','/team','team','core');
INSERT INTO "reference" VALUES('key','shop-1','/application','application','shop');
INSERT INTO "reference" VALUES('model','m','/targets/0/provider','provider','sim');
CREATE TABLE resource (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    hash TEXT NOT NULL,
    document TEXT NOT NULL,
    managers TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    updated_us INTEGER NOT NULL,
    updated_by TEXT NOT NULL,
    action TEXT NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT;
INSERT INTO "resource" VALUES('settings','org',1,'4c8177f8','{"session_hours":12,"idempotency_hours":24}','{"":"system"}',1795804651552352,'system',1795804651552352,'system','create');
INSERT INTO "resource" VALUES('user','admin',1,'ba8a4b2c','{"email":"admin@localhost","name":"Administrator","role":"owner","state":"active"}','{"":"system"}',1795804651552777,'system',1795804651552777,'system','create');
INSERT INTO "resource" VALUES('token','admin-env',1,'9c0ddbe0','{"name":"ACCORD_ADMIN_TOKEN","user":"admin","scopes":["*"],"state":"active"}','{"":"system"}',1795804651553210,'system',1795804651553210,'system','create');
INSERT INTO "resource" VALUES('provider','sim',2,'8f8bc62f','{"dialect":"openai","allow_private_address":false,"api":"any","models":["echo","lorem","fault"]}','{"declared":true,"":"built-in"}',1795804651554025,'built-in',1795819402731208,'built-in','declare');
INSERT INTO "resource" VALUES('key','first',1,'c242518d','{"models":["*"],"state":"active"}','{"declared":true,"":"file:keys.jsonl"}',1795804651554224,'file:keys.jsonl',1795804651554224,'file:keys.jsonl','create');
INSERT INTO "resource" VALUES('team','core',2,'da38f39d','{"name":"Core","description":"second"}','{"":"user:admin"}',1795804651557783,'user:admin',1795804651593575,'user:admin','patch');
INSERT INTO "resource" VALUES('user','ana',1,'7f40c86a','{"email":"ana@example.com","name":"Ana","state":"active"}','{"":"user:admin"}',1795804651560070,'user:admin',1795804651560070,'user:admin','create');
INSERT INTO "resource" VALUES('membership','ana-core',1,'9ba5a5b0','{"user":"ana","team":"core","role":"admin"}','{"":"user:admin"}',1795804651580539,'user:admin',1795804651580539,'user:admin','create');
INSERT INTO "resource" VALUES('application','shop',1,'bb5682e5','{"name":"Shop","team":"core"}','{"":"user:admin"}',1795804651582330,'user:admin',1795804651582330,'user:admin','create');
INSERT INTO "resource" VALUES('key','shop-1',1,'4c293c6b','{"models":["*"],"application":"shop","state":"active","hint":"0000"}','{"":"user:admin"}',1795804651584084,'user:admin',1795804651584084,'user:admin','create');
INSERT INTO "resource" VALUES('provider','p',1,'ed884ea6','{"dialect":"openai","base_url":"https://api.example.com/v1","credential":[{"id":"one","secret":"****te-1","priority":1}],"allow_private_address":false}','{"":"user:admin"}',1795804651585622,'user:admin',1795804651585622,'user:admin','create');
INSERT INTO "resource" VALUES('model','m',1,'7f419fd8','{"targets":[{"provider":"sim","model":"echo","weight":1,"priority":1}]}','{"":"user:admin"}',1795804651590945,'user:admin',1795804651590945,'user:admin','create');
INSERT INTO "resource" VALUES('team','kept',1,'8b1f8d47','{"name":"Kept"}','{"":"user:admin"}',1795804651599279,'user:admin',1795804651599279,'user:admin','create');
CREATE TABLE revision (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    hash TEXT NOT NULL,
    document TEXT NOT NULL,
    managers TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    updated_us INTEGER NOT NULL,
    updated_by TEXT NOT NULL,
    action TEXT NOT NULL,
    PRIMARY KEY (kind, id, revision)
) STRICT;
INSERT INTO "revision" VALUES('settings','org',1,'4c8177f8','{"session_hours":12,"idempotency_hours":24}','{"":"system"}',1795804651552352,'system',1795804651552352,'system','create');
INSERT INTO "revision" VALUES('user','admin',1,'ba8a4b2c','{"email":"admin@localhost","name":"Administrator","role":"owner","state":"active"}','{"":"system"}',1795804651552777,'system',1795804651552777,'system','create');
INSERT INTO "revision" VALUES('token','admin-env',1,'9c0ddbe0','{"name":"ACCORD_ADMIN_TOKEN","user":"admin","scopes":["*"],"state":"active"}','{"":"system"}',1795804651553210,'system',1795804651553210,'system','create');
INSERT INTO "revision" VALUES('provider','sim',1,'d0fd5b3a','{"dialect":"openai","allow_private_address":false,"models":["echo","lorem","fault"]}','{"declared":true,"":"built-in"}',1795804651554025,'built-in',1795804651554025,'built-in','create');
INSERT INTO "revision" VALUES('key','first',1,'c242518d','{"models":["*"],"state":"active"}','{"declared":true,"":"file:keys.jsonl"}',1795804651554224,'file:keys.jsonl',1795804651554224,'file:keys.jsonl','create');
INSERT INTO "revision" VALUES('team','core',1,'53fc6078','{"name":"Core","description":"who keeps it running"}','{"":"user:admin"}',1795804651557783,'user:admin',1795804651557783,'user:admin','create');
INSERT INTO "revision" VALUES('user','ana',1,'7f40c86a','{"email":"ana@example.com","name":"Ana","state":"active"}','{"":"user:admin"}',1795804651560070,'user:admin',1795804651560070,'user:admin','create');
INSERT INTO "revision" VALUES('membership','ana-core',1,'9ba5a5b0','{"user":"ana","team":"core","role":"admin"}','{"":"user:admin"}',1795804651580539,'user:admin',1795804651580539,'user:admin','create');
INSERT INTO "revision" VALUES('application','shop',1,'bb5682e5','{"name":"Shop","team":"core"}','{"":"user:admin"}',1795804651582330,'user:admin',1795804651582330,'user:admin','create');
INSERT INTO "revision" VALUES('key','shop-1',1,'4c293c6b','{"models":["*"],"application":"shop","state":"active","hint":"0000"}','{"":"user:admin"}',1795804651584084,'user:admin',1795804651584084,'user:admin','create');
INSERT INTO "revision" VALUES('provider','p',1,'ed884ea6','{"dialect":"openai","base_url":"https://api.example.com/v1","credential":[{"id":"one","secret":"****te-1","priority":1}],"allow_private_address":false}','{"":"user:admin"}',1795804651585622,'user:admin',1795804651585622,'user:admin','create');
INSERT INTO "revision" VALUES('model','m',1,'7f419fd8','{"targets":[{"provider":"sim","model":"echo","weight":1,"priority":1}]}','{"":"user:admin"}',1795804651590945,'user:admin',1795804651590945,'user:admin','create');
INSERT INTO "revision" VALUES('team','core',2,'da38f39d','{"name":"Core","description":"second"}','{"":"user:admin"}',1795804651557783,'user:admin',1795804651593575,'user:admin','patch');
INSERT INTO "revision" VALUES('team','gone',1,'f8fd7ece','{"name":"Gone"}','{"":"user:admin"}',1795804651596499,'user:admin',1795804651596499,'user:admin','create');
INSERT INTO "revision" VALUES('team','gone',2,'','','{"":"user:admin"}',1795804651596499,'user:admin',1795804651597858,'user:admin','delete');
INSERT INTO "revision" VALUES('team','kept',1,'8b1f8d47','{"name":"Kept"}','{"":"user:admin"}',1795804651599279,'user:admin',1795804651599279,'user:admin','create');
INSERT INTO "revision" VALUES('provider','sim',2,'8f8bc62f','{"dialect":"openai","allow_private_address":false,"api":"any","models":["echo","lorem","fault"]}','{"declared":true,"":"built-in"}',0,'',1795819402731208,'built-in','declare');
CREATE TABLE schema_version (number INTEGER PRIMARY KEY NOT NULL, name TEXT NOT NULL, at_us INTEGER NOT NULL) STRICT;
INSERT INTO "schema_version" VALUES(1,'001_resources',1795804651547070);
INSERT INTO "schema_version" VALUES(2,'002_kept_responses',1795819402698688);
INSERT INTO "schema_version" VALUES(3,'003_leases',1795828769634377);
INSERT INTO "schema_version" VALUES(4,'004_call_notes',1795858769634377);
CREATE TABLE secret (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    sealed BLOB NOT NULL,
    last4 TEXT NOT NULL,
    PRIMARY KEY (kind, id, name),
    FOREIGN KEY (kind, id) REFERENCES resource (kind, id) ON DELETE CASCADE
) STRICT;
INSERT INTO "secret" VALUES('user','ana','/password',X'0148208E849A6C7ADFEA92C335F152D947009F2B617777E7726E1D99DB97DC06BAD57BC5FCD009847910ACBA7C736AB51EF4450133476950B74C5B0070DF362B33545BBB8BD58CA4A201BAD9CBA1546274F3DF84158E9ACC7EDDF4E7D5F6C8F8BB7333A3B69069A20188C3B8D0FC6E5DB5CB5A703F7FD48862451361865C5591BE608A20550AB0B787F9','');
INSERT INTO "secret" VALUES('provider','p','/credential/one/secret',X'01874176CBB8750CB71BC0607BF901DEE611266EBE8A628679FC4DD7DDE47D63A6AFE49564A3D3E66441D0DEC46DF72C5BA370B6D383EB9849A8D5322D33C6EF','te-1');
CREATE TABLE session (
    digest BLOB PRIMARY KEY NOT NULL,
    who TEXT NOT NULL,
    csrf BLOB NOT NULL,
    created_us INTEGER NOT NULL,
    expires_us INTEGER NOT NULL,
    address TEXT NOT NULL,
    agent TEXT NOT NULL
) STRICT;
CREATE TABLE tail (
    name TEXT PRIMARY KEY NOT NULL,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL
) STRICT;
INSERT INTO "tail" VALUES('change',17,X'');
INSERT INTO "tail" VALUES('audit',11,X'30EB3D3A5AE7D5F98DF13AAC4F4412CEE75E27AEE7DD5201D62AD74FB656E892');
CREATE TABLE tombstone (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT;
INSERT INTO "tombstone" VALUES('team','gone',2);
CREATE TABLE uniq (
    kind TEXT NOT NULL,
    field TEXT NOT NULL,
    value TEXT NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (kind, field, value),
    FOREIGN KEY (kind, id) REFERENCES resource (kind, id) ON DELETE CASCADE
) STRICT;
INSERT INTO "uniq" VALUES('user','/email','admin@localhost','admin');
INSERT INTO "uniq" VALUES('user','/email','ana@example.com','ana');
INSERT INTO "uniq" VALUES('membership','/user+/team','ana
core
','ana-core');
INSERT INTO "uniq" VALUES('application','/team+/name','core
Shop
','shop');
INSERT INTO "uniq" VALUES('team','/name','core','core');
INSERT INTO "uniq" VALUES('team','/name','kept','kept');
CREATE INDEX uniq_of ON uniq (kind, id);
CREATE INDEX reference_to ON reference (to_kind, to_id, kind, id);
CREATE INDEX digest_of ON digest (kind, id);
CREATE INDEX audit_of ON audit (kind, id, seq);
CREATE INDEX conflict_at ON conflict (at_us, id);
CREATE INDEX idempotent_expires ON idempotent (expires_us);
CREATE INDEX session_who ON session (who);
CREATE INDEX kept_response_expires ON kept_response (expires_us);
CREATE INDEX call_note_expires ON call_note (expires_us);
COMMIT;
