import { nodeKeyPair, type NodeKeyPair } from '../../src/wire/keys.ts';

// The keys and packets of the peer relay reference §17.1.
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');

export const clientA: NodeKeyPair = nodeKeyPair(
  hex('3083b46e96331c1ee2dacd5844666009fa83d4074aed7cf637be4ff8e435f37b'),
);
export const clientB: NodeKeyPair = nodeKeyPair(
  hex('006ca1319ba5b15f78fb8db3670c2c6d1ae494389a4dd3dba3f038f0f9987752'),
);
export const serverDisco: NodeKeyPair = nodeKeyPair(
  hex('80f52fe98fd8035f3c625996f12fee772c174192c735cb1484bdfee327ab0874'),
);
export const nodeDisco: NodeKeyPair = nodeKeyPair(
  hex('509ace7fa07ccd82779cdd27ca6c3d334acc1b1e862c60b40672fb88f7697e5b'),
);

export const PUBLIC_KEYS: Readonly<Record<'clientA' | 'clientB' | 'serverDisco' | 'nodeDisco', Buffer>> = {
  clientA: hex('14ec4d69348d579ab0844bd8456aeccc30b247e0dacc3c61dadb2f3ae664096b'),
  clientB: hex('431463f2a56cd3d440c37cab6fa5fee052979e1c84955eca78b9c97765186906'),
  serverDisco: hex('ccc3151717dc4602b777cb2be2fceb06af3bb5bd669f11c059fd35a88e814718'),
  nodeDisco: hex('8757c995e989f27e756808c9a1d859e85f1c44e58a6463549a37f97df2604137'),
};

/** Shared disco key of client A and the server. */
export const SHARED_KEY: Buffer = hex('822136a26f48c5ccad2c135a594232526badf5db9028cf5de27b9f20dd3c61c0');

/** Returns bytes that count up from `first`. */
export const counting = (first: number, length: number): Buffer =>
  Buffer.from(Array.from({ length }, (_, i) => first + i));

export const CHALLENGE: Buffer = counting(0x40, 32);

export const BIND_PLAIN: Buffer =
  hex(`04000001020300000007431463f2a56cd3d440c37cab6fa5fee052979e1c84955eca78b9c97765186906
  0000000000000000000000000000000000000000000000000000000000000000`);
export const BIND_UDP: Buffer =
  hex(`00807a11010203005453f09f92ac14ec4d69348d579ab0844bd8456aeccc30b247e0dacc3c61dadb2f3ae664
  096ba0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b729f584df0f0fe4824a359778e9af4a273c88b4
  a6a6273162929401344dab034bf52697dfa2b5bdd23230c5df789f67fc4185092af36fa0476e7fb5c5058ed5fb
  457cfbb3d6ba8b9ab59882b1b35d68ad8bf632ad8906295991d2`);
export const CHALLENGE_UDP: Buffer =
  hex(`00807a11010203005453f09f92acccc3151717dc4602b777cb2be2fceb06af3bb5bd669f11c059fd35a88e8147
  18505152535455565758595a5b5c5d5e5f60616263646566673df02820d50b0cdb57bfe5d928e07e94f48eb44e
  f1b90258154b6ca1f90247ebe7cd7ace1f7c9b053f775be866c113abfa42e5dbe27e25c6a2f7bd9edd8cfa3ed0
  7a0342664405af4b910a32a00209c049f8e29e9438ea8b5046`);
export const ANSWER_UDP: Buffer =
  hex(`00807a11010203005453f09f92ac14ec4d69348d579ab0844bd8456aeccc30b247e0dacc3c61dadb2f3ae66409
  6b707172737475767778797a7b7c7d7e7f80818283848586872649485067d976d336766d8a23db0e5bf055d2d8
  9323a3adbc57667e3d8437bfe40d7ea5e1523f5b6b66b0b4fed5f4baae05825542cb08d521fbf264a58a73a4da
  c057f64d27ab46b11020395322b553cdb5a9af3062ac5450c5`);

export const ALLOCATE_REQUEST_PLAIN: Buffer = hex(`080014ec4d69348d579ab0844bd8456aeccc30b247e0dacc3c61dadb2f3ae664096b
  431463f2a56cd3d440c37cab6fa5fee052979e1c84955eca78b9c9776518690600000009`);
export const ALLOCATE_REQUEST: Buffer =
  hex(`5453f09f92ac14ec4d69348d579ab0844bd8456aeccc30b247e0dacc3c61dadb2f3ae664096b10111213141516
  1718191a1b1c1d1e1f2021222324252627cc15fbcc970d9f4843d4bf87291ba01773b04039e801089101079371
  097f4ad7b44f267f0ce10130fff73788a4a61840f2feae41041605b43b80a63ea2a69ece4117a810a8dee70b88
  69e1306de84b8cd982a67db011`);
export const ALLOCATE_RESPONSE_PLAIN: Buffer =
  hex(`090000000009ccc3151717dc4602b777cb2be2fceb06af3bb5bd669f11c059fd35a88e81471814ec4d69348d57
  9ab0844bd8456aeccc30b247e0dacc3c61dadb2f3ae664096b431463f2a56cd3d440c37cab6fa5fee052979e1c
  84955eca78b9c9776518690600000000000000010001020300000006fc23ac0000000045d964b8000000000000
  0000000000ffffc000020a9c40`);
export const ALLOCATE_RESPONSE: Buffer =
  hex(`5453f09f92ac8757c995e989f27e756808c9a1d859e85f1c44e58a6463549a37f97df260413730313233343536
  3738393a3b3c3d3e3f40414243444546476ca3d1e2c5de5ffad2c732df63f336e367b14098c75c1863fdbb0c10
  82e56733933f61bbb73de00d5a939d4ef1ad000bb46b36032a46e79b70a2e7986b387bc8731fe22c6c71473299
  3d87396077391b72a5a7f8799b48765d55d0a767f3b1ef4d6b0fcab7bfe18860e84cef4072467acc202c929ffe
  cb8306ac9ededf602fb8d13a4427be2d92cc571ad0601589519041cf034a3adaad1c35641a3c0f7c64e07775f8
  7d`);
